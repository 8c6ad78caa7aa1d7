"""A range of latencies as sentences, figures and charts. What is not known is UNKNOWN, with the reason."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from fractions import Fraction

from console.charts.heat import Column, Heat, heat
from console.charts.histogram import Histogram, histogram
from console.charts.lines import Lines, Point, lines
from console.charts.marks import empty_spans
from console.pages.overview_figures import OBJECTIVE_MS, STAGE_TITLES
from console.shown import milliseconds
from ingestion.latency import Stage
from ingestion.latency_distribution import Distribution, logarithmic_edges_us
from ingestion.latency_series import BAND_EDGES_US, LINES, Cell, Grid, StageSeries
from ingestion.replay.percentiles import P50, P90, P95, P99, P999, samples_needed

SHOWN = ((P50, "P50"), (P90, "P90"), (P95, "P95"), (P99, "P99"), (P999, "P99.9"))
LINE_NAMES = ("P50", "P95", "P99")
EDGES_US = logarithmic_edges_us(steps_per_decade=12)
EDGES_MS = tuple(edge_us / 1_000 for edge_us in EDGES_US)
BAND_EDGES_MS = tuple(edge_us / 1_000 for edge_us in BAND_EDGES_US)
GAPS_TOLD = 5
WHERE = {
    Stage.ACK: "At the receiver: first byte to answer",
    Stage.QUEUE: "At the consumer: on the lane to claimed",
    Stage.COMMIT: "At the consumer: claimed to committed",
    Stage.END_TO_END: "At the consumer: first byte to committed",
}
NOUNS = {Stage.ACK: "answers"}  # of the other stages: events


@dataclass(frozen=True, slots=True)
class Quantile:
    name: str
    figure: str
    is_known: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class StagePart:
    """One stage over the whole range."""

    stage: Stage
    title: str
    where: str
    count: str
    quantiles: Sequence[Quantile]
    longest: str
    over: str
    is_bad: bool
    sentences: Sequence[str]
    chart: Histogram | None
    nothing: str


@dataclass(frozen=True, slots=True)
class TimeRow:
    begin: datetime
    end: datetime
    count: str
    figures: Sequence[str]
    over: str
    coverage: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TimePart:
    """Percentiles of one stage over time."""

    chart: Lines | None
    rows: Sequence[TimeRow]
    notes: Sequence[str]


@dataclass(frozen=True, slots=True)
class HeatRow:
    begin: datetime
    end: datetime
    counts: Sequence[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class HeatPart:
    chart: Heat | None
    heads: Sequence[str]
    rows: Sequence[HeatRow]


def count_told(stage: Stage, count: int) -> str:
    noun = NOUNS.get(stage, "events")
    return f"{count:,} {noun[:-1] if count == 1 else noun}"


def over_share(over_count: int, count: int) -> str:
    """Per cent with two decimals, rounded up: 0.00 % means not one. UNKNOWN of nothing."""
    if count <= 0:
        return "UNKNOWN"
    hundredths = -(-over_count * 10_000 // count)
    if hundredths == 10_000 and over_count < count:
        hundredths = 9_999
    return f"{hundredths // 100}.{hundredths % 100:02d} %"


def stage_part(series: StageSeries) -> StagePart:
    title, over_count = STAGE_TITLES[series.stage], series.count - series.within_slo_count
    over = f"{over_count:,} of {count_told(series.stage, series.count)} ({over_share(over_count, series.count)})"
    quantiles = [_quantile(series.distribution, percent, name) for percent, name in SHOWN]
    p95_us = series.distribution.percentile_us(P95)
    sentences = [f"{over} took over 120 ms.", *too_few(series.distribution, count_told(series.stage, series.count))]
    if series.clamped_count:
        sentences.append(f"{series.clamped_count:,} took over a minute and stand in the chart as one minute.")
    return StagePart(
        stage=series.stage,
        title=title,
        where=WHERE[series.stage],
        count=f"{series.count:,}",
        quantiles=quantiles,
        longest=milliseconds(series.max_us / 1_000 if series.count else None),
        over=over_share(over_count, series.count),
        is_bad=series.stage is Stage.ACK and p95_us is not None and p95_us / 1_000 > OBJECTIVE_MS,
        sentences=sentences if series.count else [],
        chart=histogram(
            name=f"distribution-{series.stage}",
            title=f"{title}: distribution of {count_told(series.stage, series.count)}",
            description=f"Logarithmic axis, 120 ms marked. {over} took over 120 ms; "
            + ", ".join(f"{each.name} {each.figure}" for each in quantiles)
            + ".",
            buckets=list(zip([*EDGES_MS, float("inf")], _buckets(series), strict=True)),
            objective_ms=OBJECTIVE_MS,
        ),
        nothing="No figures of this stage in this range.",
    )


def _buckets(series: StageSeries) -> Sequence[int]:
    return series.distribution.between(EDGES_US, within_slo_count=series.within_slo_count)


def _quantile(distribution: Distribution, percent: Fraction, name: str) -> Quantile:
    value_us = distribution.percentile_us(percent)
    return Quantile(name, milliseconds(None if value_us is None else value_us / 1_000), value_us is not None)


def too_few(distribution: Distribution, told: str) -> Sequence[str]:
    """A sentence about the percentiles that so many values cannot tell."""
    missing = [f"{name} ({samples_needed(each):,} needed)" for each, name in SHOWN if _is_too_few(distribution, each)]
    return [f"{told}: too few for {', '.join(missing)}."] if missing else []


def _is_too_few(distribution: Distribution, percent: Fraction) -> bool:
    return distribution.count < samples_needed(percent)


def time_part(series: StageSeries, *, grid: Grid, written: Callable[[datetime], str]) -> TimePart:
    """`written` tells a moment as the notes do."""
    points = [
        Point(cell.begin, cell.end, [_ms(value) for value in _lines(cell)], is_empty=not cell.count)
        for cell in series.cells
    ]
    title = f"{STAGE_TITLES[series.stage]}: P50, P95 and P99 over time, each point {length_told(grid.step)}"
    notes = list(_gap_notes(series, written))
    for place, name in enumerate(LINE_NAMES):
        few = sum(1 for cell in series.cells if cell.count and _lines(cell)[place] is None)
        if few:
            notes.append(
                f"{name} is not shown at {few} of {len(series.cells)} points:"
                f" fewer than {samples_needed(LINES[place]):,} {NOUNS.get(series.stage, 'events')} there."
            )
    return TimePart(
        chart=lines(
            name=f"lines-{series.stage}",
            title=title,
            description="Logarithmic axis, 120 ms marked. " + " ".join(notes or ["Figures at every point."]),
            names=LINE_NAMES,
            points=points,
            objective_ms=OBJECTIVE_MS,
        ),
        rows=[_time_row(cell) for cell in series.cells],
        notes=notes,
    )


def _lines(cell: Cell) -> Sequence[int | None]:
    return cell.shape.lines_us if cell.shape else [None] * len(LINES)


def _ms(value_us: int | None) -> float | None:
    return None if value_us is None else value_us / 1_000


def _gap_notes(series: StageSeries, written: Callable[[datetime], str]) -> Sequence[str]:
    spans = empty_spans([(cell.begin, cell.end, not cell.count) for cell in series.cells])
    if not spans or not series.count:
        return []
    told = [f"{written(begin)} to {written(end)}" for begin, end in spans[:GAPS_TOLD]]
    more = f" and {len(spans) - GAPS_TOLD} more gaps" if len(spans) > GAPS_TOLD else ""
    return [f"No figures {', '.join(told)}{more} (UTC)."]


def _time_row(cell: Cell) -> TimeRow:
    if not cell.count:
        return TimeRow(cell.begin, cell.end, "0", ["UNKNOWN"] * len(LINES), "UNKNOWN", "no figures")
    return TimeRow(
        cell.begin,
        cell.end,
        f"{cell.count:,}",
        [milliseconds(_ms(value)) for value in _lines(cell)],
        f"{cell.count - cell.within_slo_count:,}",
        coverage_told(cell),
    )


def coverage_told(cell: Cell) -> str:
    if cell.minute_count is None:
        return "by the hour"
    whole = (cell.end - cell.begin) // timedelta(minutes=1)
    return f"{cell.minute_count} of {whole} minutes" if whole > 1 else "yes"


def heat_part(series: StageSeries, *, grid: Grid) -> HeatPart:
    title = f"{STAGE_TITLES[series.stage]}: how many took how long, each column {length_told(grid.step)}"
    bands = [cell.shape.bands if cell.shape else () for cell in series.cells]
    chart = heat(
        name=f"heat-{series.stage}",
        title=title,
        description=(
            "Time to the right, duration upwards on a logarithmic axis, 120 ms marked."
            f" {count_told(series.stage, series.count)}; stronger colour = more."
        ),
        columns=[Column(cell.begin, cell.end, band) for cell, band in zip(series.cells, bands, strict=True)],
        edges_ms=BAND_EDGES_MS,
        objective_ms=OBJECTIVE_MS,
    )
    shown = [place for place in range(len(BAND_EDGES_MS) + 1) if any(band[place] for band in bands if band)]
    return HeatPart(
        chart=chart,
        heads=[band_told(place) for place in shown],
        rows=[
            HeatRow(cell.begin, cell.end, [f"{band[place]:,}" for place in shown] if band else [])
            for cell, band in zip(series.cells, bands, strict=True)
        ],
    )


def band_told(place: int) -> str:
    return f"to {_edge_told(BAND_EDGES_MS[place])}" if place < len(BAND_EDGES_MS) else "over"


def _edge_told(edge_ms: float) -> str:
    return f"{edge_ms / 1_000:.3g} s" if edge_ms >= 1_000 else f"{edge_ms:.3g} ms"


def length_told(length: timedelta) -> str:
    """`1 minute`, `6 hours`: lengths of cells are whole ones."""
    for unit, name in ((timedelta(days=1), "day"), (timedelta(hours=1), "hour"), (timedelta(minutes=1), "minute")):
        if length >= unit:
            count = length // unit
            return f"{count} {name}{'' if count == 1 else 's'}"
    return f"{length.total_seconds():g} s"
