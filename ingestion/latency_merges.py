"""What several rows of measurements come to together, kept so that a page of a week or a month need not merge them.

A merge is named by the very rows it was made of: ids and exact counters, digested. So it is never wrong, only unused,
once a roll-up or a late flush has changed its rows; it is made again by `make_merges`, and may be deleted at any time.
One for each stage and provider of a quarter of an hour, an hour and a day, where that is more than one row.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import groupby
from operator import attrgetter
from typing import Any

from django.contrib.postgres.aggregates import ArrayAgg
from django.db.models import Count, DateTimeField, F, Func, Max, QuerySet, Sum, Value
from hdrh.histogram import HdrHistogram

from autocom.kernel.clock import Clock, datetime_of
from ingestion.latency import new_histogram
from ingestion.latency_store import encoded, merge_encoded, merged
from ingestion.models import LatencyFlush, LatencyMerge
from ingestion.pacing import Outcome, Pace, in_steps
from ingestion.roll_up import HOURS_AFTER, MINUTES_AFTER

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
QUARTER, HOUR_LONG, DAY_LONG = timedelta(minutes=15), timedelta(hours=1), timedelta(days=1)
SPANS = (DAY_LONG, HOUR_LONG, QUARTER)
FEW_ROWS = 200  # are merged sooner than looked up
CHANGES_FOR = HOURS_AFTER + 2 * DAY_LONG  # until then minutes become hours, and a flush may be late
SETTLED_AFTER = 2 * MINUTES_AFTER  # a quarter whose seconds are not rolled up yet would be made twice


@dataclass(frozen=True, slots=True, kw_only=True)
class Piece:
    """`key` names its rows."""

    begin: datetime
    key: bytes
    row_ids: Sequence[int]


def pieces_of(rows: QuerySet[LatencyFlush], *, span: timedelta) -> list[Piece]:
    """The rows by span, stage and provider, where these are more than one; in order of time."""
    found: Any = (
        rows.order_by()
        .annotate(begin=beginning(span))
        .values("begin", "stage", "provider")
        .annotate(**COUNTERS, rows_count=Count("pk"))
        .filter(rows_count__gt=1)
        .order_by("begin", "stage", "provider")
    )
    return [Piece(begin=row["begin"], key=key_of(row, span=span), row_ids=row["row_ids"]) for row in found]


def rows_of(row_ids: Iterable[int]) -> QuerySet[LatencyFlush]:
    """By one array instead of a parameter for each: there may be tens of thousands."""
    if not (ids := list(row_ids)):
        return LatencyFlush.objects.none()
    return LatencyFlush.objects.extra(where=["id = ANY(%s)"], params=[ids])


COUNTERS: Mapping[str, Any] = {
    "all_count": Sum("count"),
    "within": Sum("within_slo_count"),
    "sum_all_us": Sum("sum_us"),
    "longest_us": Max("max_us"),
    "row_ids": ArrayAgg("pk"),
}


def beginning(span: timedelta) -> Func:
    """Of the span that a row's minute is in."""
    return Func(Value(span), F("minute"), Value(EPOCH), function="date_bin", output_field=DateTimeField())


def key_of(row: Mapping[str, Any], *, span: timedelta | None = None) -> bytes:
    """Of the rows behind these COUNTERS of a stage, and of the span that keeps a merge of them."""
    # ids alone would do, as long as nobody restores a backup below a running console
    told = (span, row["stage"], row["all_count"], row["within"], int(row["sum_all_us"]), row["longest_us"])
    return hashlib.sha256(repr((*told, *sorted(row["row_ids"]))).encode()).digest()


def known_merges(pieces: Iterable[Piece]) -> dict[bytes, bytes]:
    """Histograms by key. Raises django.db.Error."""
    found = LatencyMerge.objects.filter(key__in=[piece.key for piece in pieces]).values_list("key", "histogram")
    return {bytes(key): bytes(histogram) for key, histogram in found}


def take_merges(row_ids: Iterable[int], *, spans: Iterable[timedelta]) -> Iterator[tuple[Piece, bytes]]:
    """What was merged of these rows before, the longest spans first; no row twice. Raises django.db.Error."""
    left = set(row_ids)
    for span in spans:
        if len(left) <= FEW_ROWS:
            return
        pieces = pieces_of(rows_of(left), span=span)
        known = known_merges(pieces)
        for piece in pieces:
            if piece.key in known:
                left.difference_update(piece.row_ids)
                yield piece, known[piece.key]


type Merged = tuple[HdrHistogram, int, int]  # how many were within 120 ms, and the longest


def merged_of(rows: QuerySet[LatencyFlush]) -> Merged:
    """Raises django.db.Error."""
    histogram = new_histogram()
    within_slo_count = max_us = 0
    for blob, within, longest_us in rows.values_list("histogram", "within_slo_count", "max_us").iterator():
        merge_encoded(histogram, blob)
        within_slo_count += within
        max_us = max(max_us, longest_us)
    return histogram, within_slo_count, max_us


def merged_before(rows: QuerySet[LatencyFlush]) -> Merged | None:
    """The same, by merges where there are some. None: rows were rolled up meanwhile. Raises django.db.Error."""
    counters = {pk: (within, max_us) for pk, within, max_us in rows.values_list("pk", "within_slo_count", "max_us")}
    histogram, left = new_histogram(), set(counters)
    for piece, blob in take_merges(counters, spans=SPANS):
        left.difference_update(piece.row_ids)
        merge_encoded(histogram, blob)
    blobs = rows_of(left).values_list("histogram", flat=True)
    read_count = 0
    for histogram_of_row in blobs.iterator():
        merge_encoded(histogram, histogram_of_row)
        read_count += 1
    if read_count != len(left):
        return None
    longest_us = max((max_us for _, max_us in counters.values()), default=0)
    return histogram, sum(within for within, _ in counters.values()), longest_us


def make_merges(*, pace: Pace, clock: Clock) -> Sequence[Outcome]:
    """Makes what is missing, the oldest first, and removes what it takes the place of. Raises django.db.Error."""
    now = datetime_of(us=clock.now_us())
    deadline_ns = clock.monotonic_ns() + round(pace.budget.total_seconds() * 1e9)
    outcomes = []
    for span in SPANS:
        missing = _missing(span, now=now)

        def step(_: int, span: timedelta = span, missing: list[list[Piece]] = missing) -> int | None:
            return _make(missing.pop(0), span=span) if missing else None

        outcomes.append(in_steps(step, pace=pace, clock=clock, deadline_ns=deadline_ns))
    _remove_unused(now=now)
    return outcomes


def _missing(span: timedelta, *, now: datetime) -> list[list[Piece]]:
    """All pieces of each span's beginning where one has no merge."""
    rows = LatencyFlush.objects.filter(minute__lt=EPOCH + (now - SETTLED_AFTER - EPOCH) // span * span)
    since = _changing_since(span, now=now)
    pieces = pieces_of(rows if since is None else rows.filter(minute__gte=since), span=span)
    known = set(LatencyMerge.objects.filter(key__in=[piece.key for piece in pieces]).values_list("key", flat=True))
    kept = {bytes(key) for key in known}
    by_begin = [list(group) for _, group in groupby(pieces, key=attrgetter("begin"))]
    return [group for group in by_begin if any(piece.key not in kept for piece in group)]


def _changing_since(span: timedelta, *, now: datetime) -> datetime | None:
    """Shorter spans serve while minutes are kept; days are made of all that there is, once. None: of all rows."""
    changing = EPOCH + (now - CHANGES_FOR - EPOCH) // DAY_LONG * DAY_LONG
    if span < DAY_LONG:
        return changing
    older = LatencyMerge.objects.filter(span=span, begin__lt=changing)
    return older.order_by("-begin").values_list("begin", flat=True).first()


def _make(pieces: Sequence[Piece], *, span: timedelta) -> int:
    """All merges of one span's beginning; how many rows they are made of."""
    known = known_merges(pieces)
    begin = pieces[0].begin
    LatencyMerge.objects.filter(span=span, begin=begin).exclude(key__in=list(known)).delete()
    wanted = {pk: piece for piece in pieces if piece.key not in known for pk in piece.row_ids}
    blobs: dict[bytes, list[bytes]] = {piece.key: [] for piece in wanted.values()}
    for pk, blob in rows_of(wanted).values_list("pk", "histogram"):
        blobs[wanted[pk].key].append(bytes(blob))
    LatencyMerge.objects.bulk_create(
        [
            LatencyMerge(key=piece.key, span=span, begin=begin, histogram=encoded(merged(iter(blobs[piece.key]))))
            for piece in pieces
            if len(blobs.get(piece.key, ())) == len(piece.row_ids)  # else they were rolled up meanwhile: the next run's
        ],
        ignore_conflicts=True,
    )
    return len(wanted)


def _remove_unused(*, now: datetime) -> None:
    """Of shorter spans once only hours are left: an hour is a row of its own then."""
    LatencyMerge.objects.filter(span__lt=DAY_LONG, begin__lt=now - CHANGES_FOR - DAY_LONG).delete()
