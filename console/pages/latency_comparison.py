"""Two distributions against each other: percentiles in words, and both in one chart."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction

from console.charts.overlay import Overlay, overlay
from console.pages.latency_figures import EDGES_MS, EDGES_US, SHOWN, WHERE, over_share
from console.pages.overview_figures import OBJECTIVE_MS, STAGE_TITLES
from console.shown import UNKNOWN, milliseconds
from evidence.runs.latencies import RunLatencies, RunSide
from ingestion.latency import Stage
from ingestion.latency_distribution import Distribution
from ingestion.latency_series import StageSeries
from ingestion.replay.percentiles import samples_needed

RESOLUTION = 0.002  # two values of a histogram may be apart by so much and mean the same


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """`over_slo_count`: from an exact counter; None where none was kept."""

    distribution: Distribution
    over_slo_count: int | None

    @property
    def counts(self) -> Sequence[int]:
        count = self.distribution.count
        within = None if self.over_slo_count is None else count - self.over_slo_count
        return self.distribution.between(EDGES_US, within_slo_count=within)

    @property
    def over(self) -> str:
        return UNKNOWN if self.over_slo_count is None else f"{self.over_slo_count:,}"

    @property
    def over_share(self) -> str:
        return UNKNOWN if self.over_slo_count is None else over_share(self.over_slo_count, self.distribution.count)


@dataclass(frozen=True, slots=True)
class ComparedRow:
    name: str
    first: str
    second: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    key: str
    title: str
    told: Sequence[str]  # how B differs from A, percentile by percentile
    rows: Sequence[ComparedRow]
    chart: Overlay | None
    nothing: str


def compared(key: str, title: str, first: Side | None, second: Side | None, *, missing: str) -> Comparison:
    """A is the first, B the second. `missing` says what to do where one of them has nothing."""
    if first is None or second is None or not first.distribution.count or not second.distribution.count:
        absent = [name for name, side in (("A", first), ("B", second)) if side is None or not side.distribution.count]
        nothing = f"Nothing to compare: no figures in {' and '.join(absent)}. {missing}"
        return Comparison(key=key, title=title, told=[], rows=[], chart=None, nothing=nothing)
    told = [_told(name, percent, first.distribution, second.distribution) for percent, name in SHOWN]
    if first.over_slo_count is None or second.over_slo_count is None:
        told.append(f"Over 120 ms: {UNKNOWN}, as no exact counter was kept.")
    rows = [
        ComparedRow("Count", f"{first.distribution.count:,}", f"{second.distribution.count:,}"),
        *(
            ComparedRow(name, _shown(first.distribution, percent), _shown(second.distribution, percent))
            for percent, name in SHOWN
        ),
        ComparedRow("Over 120 ms", first.over, second.over),
        ComparedRow("Share over", first.over_share, second.over_share),
    ]
    chart = overlay(
        name=f"compared-{key}",
        title=f"{title}: A filled, B dashed outline, as shares of each",
        description="Logarithmic axis, 120 ms marked. " + " ".join(told),
        edges_ms=EDGES_MS,
        first=first.counts,
        second=second.counts,
        objective_ms=OBJECTIVE_MS,
    )
    return Comparison(key=key, title=title, told=told, rows=rows, chart=chart, nothing="")


def stages_compared(first: Mapping[Stage, StageSeries], second: Mapping[Stage, StageSeries]) -> Sequence[Comparison]:
    """Two ranges, stage by stage."""
    return [
        compared(
            stage.value,
            f"{STAGE_TITLES[stage]}. {WHERE[stage]}",
            side_of(first[stage]),
            side_of(second[stage]),
            missing="Choose another range.",
        )
        for stage in first
    ]


def runs_compared(first: RunLatencies, second: RunLatencies) -> Sequence[Comparison]:
    return [
        compared(
            "sender",
            "At the sender: from the intended moment to the end of the answer",
            side_of_run(first.sender),
            side_of_run(second.sender),
            missing="The run left no ack.hlog that can be read.",
        ),
        compared(
            "receiver",
            "At the receiver, as the service measured the minutes of the run",
            side_of_run(first.receiver),
            side_of_run(second.receiver),
            missing="The run left no receiver.hlog that can be read.",
        ),
    ]


def side_of(series: StageSeries) -> Side:
    return Side(distribution=series.distribution, over_slo_count=series.count - series.within_slo_count)


def side_of_run(side: RunSide | None) -> Side | None:
    if side is None:
        return None
    return Side(distribution=side.distribution, over_slo_count=side.over_slo_count)


def _told(name: str, percent: Fraction, first: Distribution, second: Distribution) -> str:
    of_first, of_second = first.percentile_us(percent), second.percentile_us(percent)
    if of_first is not None and of_second is not None:
        return f"{name}: {difference_told(of_first, of_second)}."
    few = [side for side, value_us in (("A", of_first), ("B", of_second)) if value_us is None]
    return f"{name}: {UNKNOWN}, too few in {' and '.join(few)} ({samples_needed(percent):,} needed)."


def _shown(distribution: Distribution, percent: Fraction) -> str:
    value_us = distribution.percentile_us(percent)
    return milliseconds(None if value_us is None else value_us / 1_000)


def difference_told(first_us: int, second_us: int) -> str:
    """How B differs from A."""
    if abs(second_us - first_us) <= RESOLUTION * first_us:
        return "the same, as far as histograms tell"
    apart = milliseconds(abs(second_us - first_us) / 1_000)
    percent = 100 * abs(second_us - first_us) / first_us
    share = f"{percent:,.0f} %" if percent >= 10 else f"{percent:.1f} %"
    return f"B is {apart} slower ({share} more)" if second_us > first_us else f"B is {apart} faster ({share} less)"
