"""Latencies at the sender, at the receiver and from accepted to committed: HDR logs, CSV, drawings.

`le_us` is the highest value of a bucket of an HDR histogram from 1 µs to 60 s with three digits; values outside count
as the nearest end.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from fractions import Fraction
from pathlib import Path

from hdrh.histogram import HdrHistogram

from autocom.kernel.clock import us_of
from evidence.bundles.errors import NotThere
from evidence.bundles.parts.files import copy, write
from evidence.bundles.run import Run
from evidence.charts.latency import latency_svg
from evidence.runs.folders import RECEIVER
from ingestion.latency import SLO_US, nearest_rank_us
from ingestion.models import Event
from ingestion.replay.figures import ack_latencies_us
from ingestion.replay.findings import Place
from ingestion.replay.histogram_log import histogram_of, read_log, write_log
from ingestion.replay.percentiles import P50, P95, P99, P999, samples_needed

FOLDER = "data/latency"
CLIENT_PATHS = (f"{FOLDER}/client.csv", f"{FOLDER}/client.svg")
RECEIVER_PATHS = tuple(f"{FOLDER}/receiver.{ending}" for ending in ("hlog", "csv", "svg"))
CONSUMER_PATHS = tuple(f"{FOLDER}/consumer.{ending}" for ending in ("hlog", "csv", "svg"))
READ_AT_ONCE_COUNT = 5_000
COMMITTED_WITHIN_MS = 60_000  # what a receipt promises
NAMES = {P50: "P50", P95: "P95", P99: "P99", P999: "P99.9"}


def collect_client(run: Run, into: Path) -> None:
    """From the journal: from the intended moment to the end of the answer, of first attempts answered 2xx."""
    _write(into, "client", "Ack latency at the sender", histogram_of(ack_latencies_us(run.history.sends)))


def collect_receiver(run: Run, into: Path) -> None:
    source = run.folder.path / RECEIVER
    histogram = read_log(source) if source.is_file() else None
    if histogram is None:
        raise NotThere("the service had measured no ack of these minutes when the run ended")
    copy(source, into / FOLDER / "receiver.hlog")
    _write(into, "receiver", "Ack latency as the service measured it", histogram)


def collect_consumer(run: Run, into: Path) -> None:
    """From accepted, by Redis's clock, to just before COMMIT, of each event of the run that is stored."""
    durations_us = list(_commit_lags_us(run))
    if not durations_us:
        raise NotThere("no event of the run is stored")
    histogram = histogram_of(durations_us)
    path = into / FOLDER / "consumer.hlog"
    path.parent.mkdir(parents=True, exist_ok=True)
    write_log(
        path,
        histogram,
        what=f"accepted to committed, microseconds, run {run.run_id}",
        start_seconds=run.history.wall_ns(run.history.start_ns) / 1_000_000_000,
        end_seconds=run.ended_at.timestamp(),
    )
    _write(into, "consumer", "Accepted to committed", histogram, objective_ms=COMMITTED_WITHIN_MS)


def _commit_lags_us(run: Run) -> Iterable[int]:
    ids = [row.event_id for row in run.stored.rows if row.place is Place.EVENT]
    for at in range(0, len(ids), READ_AT_ONCE_COUNT):
        rows = Event.objects.filter(pk__in=ids[at : at + READ_AT_ONCE_COUNT])
        for accepted_at, committed_at in rows.values_list("accepted_at", "batch__committed_at"):
            yield us_of(committed_at) - us_of(accepted_at)


def _write(into: Path, name: str, title: str, histogram: HdrHistogram, *, objective_ms: float = SLO_US / 1_000) -> None:
    counts = recorded(histogram)
    write(into / FOLDER / f"{name}.csv", _csv(counts))
    drawn = latency_svg(title, counts, objective_ms=objective_ms, marks_ms=_marks_ms(histogram))
    write(into / FOLDER / f"{name}.svg", drawn)


def recorded(histogram: HdrHistogram) -> Sequence[tuple[int, int]]:
    """Highest value and count of each bucket that holds something, ascending."""
    return [(item.value_iterated_to, item.count_added_in_this_iter_step) for item in histogram.get_recorded_iterator()]


def _csv(counts: Sequence[tuple[int, int]]) -> str:
    lines, cumulative = ["le_us,count,cumulative"], 0
    for le_us, count in counts:
        cumulative += count
        lines.append(f"{le_us},{count},{cumulative}")
    return "\n".join(lines) + "\n"


def _marks_ms(histogram: HdrHistogram) -> dict[str, float]:
    """Only those that so many values can tell."""
    return {
        name: nearest_rank_us(histogram, share=float(percent / Fraction(100))) / 1_000
        for percent, name in NAMES.items()
        if histogram.total_count >= samples_needed(percent)
    }
