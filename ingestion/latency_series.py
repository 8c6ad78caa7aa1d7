"""Measured latencies of a range of time, in cells of one length: what the console's charts are made of.

Every figure of a cell or of the whole range is read off merged histograms and exact counters, never off other figures.
What this process has not merged before is put together of `latency_merges` and, where there is none, of the rows: a row
is never changed, so what was merged of the same rows is the same for ever. How much is merged for one page is bounded;
beyond it a person is told to ask for less, as a part of the rows would be a wrong answer.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import chain, groupby
from typing import Any

from django.db.models import Count, Q, QuerySet, Sum

from ingestion.latency import Stage
from ingestion.latency_distribution import Distribution, logarithmic_edges_us
from ingestion.latency_merges import COUNTERS, EPOCH, SPANS, beginning, key_of, rows_of, take_merges
from ingestion.latency_store import encoded, merged
from ingestion.models import HOUR, LatencyFlush
from ingestion.replay.percentiles import P50, P95, P99
from ingestion.roll_up import HOURS_AFTER

MERGED_AT_MOST = 20_000  # rows and merges for one page, 0.1 ms each
ROWS_AT_MOST = 200_000  # whose counters are added up; no histogram is read for that
CELLS_AT_MOST = 100
MINUTE_LONG, HOUR_LONG = timedelta(minutes=1), timedelta(hours=1)
STEPS = (
    *(MINUTE_LONG, timedelta(minutes=5), timedelta(minutes=15), HOUR_LONG),
    *(timedelta(hours=6), timedelta(days=1), timedelta(days=7)),
)
FLUSHED_WITHIN = timedelta(seconds=5)  # a minute that has just begun is no gap
LINES = (P50, P95, P99)  # of each cell
BAND_EDGES_US = logarithmic_edges_us(steps_per_decade=6)
MERGED_CELLS_KEPT = 2_000  # some kilobytes each
ATTEMPTS = 3


class TooManyRows(Exception):
    """The range holds more than is merged for one page."""


class RolledUpMeanwhile(Exception):
    """Rows were merged into others between two queries, again and again; the next try will find them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Grid:
    """A range as it can be read: its ends on full minutes, or hours where figures are kept by the hour."""

    since: datetime
    until: datetime
    step: timedelta

    def cells(self) -> Iterator[tuple[datetime, datetime]]:
        """Begin and end of each cell; the first and the last may be cut."""
        begin = floor(self.since, self.step)
        while begin < self.until:
            yield max(begin, self.since), min(begin + self.step, self.until)
            begin += self.step


def grid_of(*, since: datetime, until: datetime, now: datetime) -> Grid:
    """The range outwards to what can be told apart, and not beyond the minute that is now."""
    hourly_before = now - HOURS_AFTER + HOUR_LONG
    unit = HOUR_LONG if since < hourly_before else MINUTE_LONG
    until = min(until, now - FLUSHED_WITHIN)
    begin = floor(since, unit)
    end = ceiling(until, HOUR_LONG if until <= hourly_before else MINUTE_LONG)
    step = next((step for step in STEPS if step >= unit and (end - begin) / step < CELLS_AT_MOST - 1), STEPS[-1])
    return Grid(since=begin, until=max(end, begin + unit), step=step)


def floor(at: datetime, step: timedelta) -> datetime:
    return EPOCH + (at - EPOCH) // step * step


def ceiling(at: datetime, step: timedelta) -> datetime:
    return EPOCH - (EPOCH - at) // step * step


@dataclass(frozen=True, slots=True)
class Shape:
    """What is drawn of one cell."""

    lines_us: Sequence[int | None]  # by LINES; None where the sample is too small
    bands: Sequence[int]  # by BAND_EDGES_US, and above


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """`count` 0: nothing was measured. `minute_count`: of how many minutes there are figures; None by the hour."""

    begin: datetime
    end: datetime
    count: int = 0
    within_slo_count: int = 0
    max_us: int = 0
    minute_count: int | None = 0
    shape: Shape | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class StageSeries:
    stage: Stage
    count: int
    within_slo_count: int
    max_us: int
    clamped_count: int
    distribution: Distribution
    cells: Sequence[Cell]


def stage_series(
    *, grid: Grid, stages: Sequence[Stage], charted: Sequence[Stage] = (), provider: str | None = None
) -> Mapping[Stage, StageSeries]:
    """Cells have a shape for the stages that are charted. Raises TooManyRows, RolledUpMeanwhile, django.db.Error."""
    rows = LatencyFlush.objects.filter(
        minute__gte=grid.since, minute__lt=grid.until, stage__in=[stage.value for stage in stages]
    )
    if provider is not None:
        rows = rows.filter(provider=provider)
    # columns of the unique index alone: counting stops at the bound and reads no histogram
    if rows.order_by().values("minute")[: ROWS_AT_MOST + 1].count() > ROWS_AT_MOST:
        raise TooManyRows
    for _ in range(ATTEMPTS):
        sums = _sums(rows, grid)
        if _merge_missing(sums, step=grid.step, shapes_of=charted):
            return {stage: _series(stage, grid, sums, is_charted=stage in charted) for stage in stages}
    raise RolledUpMeanwhile


def last_measured(*, before: datetime, provider: str | None = None) -> datetime | None:
    """The begin of the newest minute (or hour) before the moment of which anything is known."""
    rows = LatencyFlush.objects.filter(minute__lt=before)
    if provider is not None:
        rows = rows.filter(provider=provider)
    return rows.order_by("-minute").values_list("minute", flat=True).first()


@dataclass(slots=True)
class _Merged:
    histogram: bytes
    shape: Shape | None = None


class _MergedCells:
    """What this process merged before, by the rows it was merged of. The least asked for goes first."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._cells: OrderedDict[bytes, _Merged] = OrderedDict()

    def get(self, key: bytes) -> _Merged | None:
        with self._lock:
            if key in self._cells:
                self._cells.move_to_end(key)
            return self._cells.get(key)

    def keep(self, key: bytes, merged: _Merged) -> None:
        with self._lock:
            self._cells[key] = merged
            while len(self._cells) > MERGED_CELLS_KEPT:
                self._cells.popitem(last=False)


MERGED = _MergedCells()


@dataclass(slots=True, kw_only=True)
class _Sum:
    """The exact counters of a stage's cell, the rows behind them and, once known, what they come to together."""

    stage: Stage
    cell: datetime
    count: int
    within_slo_count: int
    max_us: int
    clamped_count: int
    minute_count: int | None
    row_ids: Sequence[int]
    key: bytes
    merged: _Merged | None = None
    parts: list[bytes] = field(default_factory=list)  # merges of some of the rows, made before
    parts_rows_count: int = 0


def _sums(rows: QuerySet[LatencyFlush], grid: Grid) -> list[_Sum]:
    found = (
        rows.order_by()
        .annotate(cell=beginning(grid.step))
        .values("stage", "cell")
        .annotate(
            **COUNTERS,
            clamped=Sum("clamped_count"),
            minutes=Count("minute", distinct=True, filter=~Q(process=HOUR)),
            hours=Count("pk", filter=Q(process=HOUR)),
        )
    )
    return [_sum(row) for row in found]


def _sum(row: Mapping[str, Any]) -> _Sum:
    return _Sum(
        stage=Stage(row["stage"]),
        cell=row["cell"],
        count=int(row["all_count"]),
        within_slo_count=int(row["within"]),
        max_us=row["longest_us"],
        clamped_count=int(row["clamped"]),
        minute_count=None if row["hours"] else row["minutes"],
        row_ids=row["row_ids"],
        key=key_of(row),
    )


def _merge_missing(sums: Sequence[_Sum], *, step: timedelta, shapes_of: Sequence[Stage]) -> bool:
    """Gives each sum its merged histogram. False: rows are gone, so the sums are those of an earlier moment.

    Raises TooManyRows.
    """
    for each in sums:
        each.merged = MERGED.get(each.key)
    missing = [each for each in sums if each.merged is None]
    left = _take_merges(missing, step=step)
    if len(left) + sum(len(each.parts) for each in missing) > MERGED_AT_MOST:
        raise TooManyRows
    for each in missing:
        if each.parts_rows_count == len(each.row_ids):
            _keep(each, iter(each.parts))
    found = rows_of(left).order_by("stage", "minute").values_list("pk", "histogram")
    # one histogram of 140 kB at a time: rows of a stage's cell follow each other
    for _, group in groupby(found.iterator(), key=lambda row: left[row[0]].key):
        cell_rows = list(group)
        each = left[cell_rows[0][0]]
        if len(cell_rows) + each.parts_rows_count == len(each.row_ids):
            _keep(each, chain(each.parts, (bytes(blob) for _, blob in cell_rows)))
    for each in sums:
        if each.merged is not None and each.merged.shape is None and each.stage in shapes_of:
            each.merged.shape = _shape(each, each.merged.histogram)
    return all(each.merged is not None for each in sums)


def _take_merges(missing: Sequence[_Sum], *, step: timedelta) -> dict[int, _Sum]:
    """Gives each sum what was merged of its rows before; the rows that are left, by id."""
    left = {pk: each for each in missing for pk in each.row_ids}
    for piece, histogram in take_merges(left, spans=[span for span in SPANS if not step % span]):
        each = left[piece.row_ids[0]]
        each.parts.append(histogram)
        each.parts_rows_count += len(piece.row_ids)
        for pk in piece.row_ids:
            del left[pk]
    return left


def _keep(each: _Sum, blobs: Iterator[bytes]) -> None:
    each.merged = _Merged(encoded(merged(blobs)))
    MERGED.keep(each.key, each.merged)


def _shape(each: _Sum, histogram: bytes) -> Shape:
    distribution = Distribution.of(merged(iter([histogram])))
    return Shape(
        tuple(distribution.percentile_us(percent) for percent in LINES),
        tuple(distribution.between(BAND_EDGES_US, within_slo_count=each.within_slo_count)),
    )


def _series(stage: Stage, grid: Grid, sums: Sequence[_Sum], *, is_charted: bool) -> StageSeries:
    of_stage = [each for each in sums if each.stage is stage]
    total = merged(each.merged.histogram for each in of_stage if each.merged is not None)
    by_cell = {each.cell: each for each in of_stage}
    return StageSeries(
        stage=stage,
        count=sum(each.count for each in of_stage),
        within_slo_count=sum(each.within_slo_count for each in of_stage),
        max_us=max((each.max_us for each in of_stage), default=0),
        clamped_count=sum(each.clamped_count for each in of_stage),
        distribution=Distribution.of(total),
        cells=[
            _cell(begin, end, by_cell.get(floor(begin, grid.step)), is_charted=is_charted)
            for begin, end in grid.cells()
        ],
    )


def _cell(begin: datetime, end: datetime, found: _Sum | None, *, is_charted: bool) -> Cell:
    if found is None:
        return Cell(begin=begin, end=end)
    shape = found.merged.shape if is_charted and found.merged is not None else None
    return Cell(
        begin=begin,
        end=end,
        count=found.count,
        within_slo_count=found.within_slo_count,
        max_us=found.max_us,
        minute_count=found.minute_count,
        shape=shape,
    )
