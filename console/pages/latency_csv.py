"""What the Latency page shows, as CSV: a line for each figure, after lines that say what was asked for.

Durations are milliseconds, times UTC. An empty value is one that so few durations cannot tell, or that nobody measured.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime

from console.pages.latency_asked import Asked
from console.pages.latency_figures import BAND_EDGES_MS, EDGES_MS, EDGES_US, LINE_NAMES, SHOWN
from console.time_range import TimeRange
from ingestion.latency import Stage
from ingestion.latency_series import Cell, Grid, StageSeries

COLUMNS = ("part", "stage", "begin", "end", "over_ms", "up_to_ms", "name", "value")
FORMULA = ("=", "+", "-", "@", "\t", "\r")

type Row = tuple[object, ...]


def csv_of(
    grid: Grid, series: Mapping[Stage, StageSeries], *, asked: Asked, found: TimeRange, read_at: datetime
) -> str:
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\r\n")
    for name, value in _asked(grid, asked, found, read_at):
        writer.writerow([f"# {name}", harmless(value)])
    writer.writerow(COLUMNS)
    for each in series.values():
        writer.writerows(_summary(each, grid))
        writer.writerows(_distribution(each, grid))
    charted = series[asked.charted]
    for cell in charted.cells:
        writer.writerows(_over_time(charted.stage, cell))
    for cell in charted.cells:
        writer.writerows(_map(charted.stage, cell))
    return file.getvalue()


def harmless(text: str) -> str:
    """No spreadsheet takes it for a formula."""
    return f"'{text}" if text.startswith(FORMULA) else text


def _asked(grid: Grid, asked: Asked, found: TimeRange, read_at: datetime) -> Sequence[tuple[str, str]]:
    return [
        ("from", found.asked_from),
        ("to", found.asked_to),
        ("provider", asked.provider or "all"),
        ("stage", asked.stage.value if asked.stage else "all"),
        ("read from", _at(grid.since)),
        ("read to", _at(grid.until)),
        ("cell in minutes", str(int(grid.step.total_seconds() // 60))),
        ("over time and map of", asked.charted.value),
        ("read at", _at(read_at)),
    ]


def _summary(series: StageSeries, grid: Grid) -> Iterator[Row]:
    head = ("summary", series.stage.value, _at(grid.since), _at(grid.until), "", "")
    yield (*head, "count", series.count)
    yield (*head, "over 120 ms", series.count - series.within_slo_count)
    for percent, name in SHOWN:
        yield (*head, name, _ms(series.distribution.percentile_us(percent)))
    yield (*head, "max", _ms(series.max_us if series.count else None))


def _distribution(series: StageSeries, grid: Grid) -> Iterator[Row]:
    counts = series.distribution.between(EDGES_US, within_slo_count=series.within_slo_count)
    for over, up_to, count in _edged(EDGES_MS, counts):
        yield ("distribution", series.stage.value, _at(grid.since), _at(grid.until), over, up_to, "count", count)


def _over_time(stage: Stage, cell: Cell) -> Iterator[Row]:
    head = ("over time", stage.value, _at(cell.begin), _at(cell.end), "", "")
    yield (*head, "count", cell.count)
    yield (*head, "over 120 ms", cell.count - cell.within_slo_count if cell.count else "")
    for name, value_us in zip(LINE_NAMES, cell.shape.lines_us if cell.shape else [None] * 3, strict=True):
        yield (*head, name, _ms(value_us))


def _map(stage: Stage, cell: Cell) -> Iterator[Row]:
    for over, up_to, count in _edged(BAND_EDGES_MS, cell.shape.bands if cell.shape else []):
        yield ("map", stage.value, _at(cell.begin), _at(cell.end), over, up_to, "count", count)


def _edged(edges_ms: Sequence[float], counts: Sequence[int]) -> Iterator[tuple[object, object, int]]:
    """The buckets that hold something, with what they are over and up to."""
    for place, count in enumerate(counts):
        if count:
            yield edges_ms[place - 1] if place else 0, edges_ms[place] if place < len(edges_ms) else "", count


def _ms(value_us: int | None) -> float | str:
    return "" if value_us is None else value_us / 1_000


def _at(at: datetime) -> str:
    return f"{at.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"
