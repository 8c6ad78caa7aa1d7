"""Measurements of single seconds and processes into one row a minute, and those of two days ago into one an hour.

A row of a roll-up takes the place of its sources in one transaction, so every reader sees one or the other. A flush
that comes late still counts: it stands beside the roll-up until the next run merges it in. A flush that comes again
does not: `FlushMark` remembers, by process, the newest flush that was rolled up, and `latency_store.store` asks it
after its insert (before, it could miss a roll-up that is at work on the same rows).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db import connection
from django.db.models import QuerySet

from autocom.kernel.clock import Clock, datetime_of
from ingestion.latency_store import encoded, merged
from ingestion.models import HOUR, MINUTE, NOT_ROLLED_UP, AckOutcome, FlushMark, LatencyFlush, RefusalCount
from ingestion.pacing import Outcome, Pace, in_steps

MINUTES_AFTER = timedelta(minutes=3)  # rates are read off single flushes, over a minute at most
HOURS_AFTER = timedelta(days=2)  # until then a range may begin at any minute
LOCK = 0x0A07_0C0D  # of PostgreSQL's advisory locks: one roll-up at a time


@dataclass(frozen=True, slots=True)
class Figures:
    """One table of measurements: what tells its rows apart beside the time, and how several become one."""

    model: Any
    key: tuple[str, ...]
    merge: Callable[[Sequence[Any]], dict[str, Any]]


def _merged_latencies(rows: Sequence[LatencyFlush]) -> dict[str, Any]:
    """Exact: histograms of one geometry add up bucket by bucket."""
    return {
        "count": sum(row.count for row in rows),
        "within_slo_count": sum(row.within_slo_count for row in rows),
        "sum_us": sum(row.sum_us for row in rows),
        "max_us": max(row.max_us for row in rows),
        "clamped_count": sum(row.clamped_count for row in rows),
        "histogram": encoded(merged(iter([bytes(row.histogram) for row in rows]))),
    }


def _merged_counts(rows: Sequence[AckOutcome | RefusalCount]) -> dict[str, Any]:
    return {"count": sum(row.count for row in rows), "flushed_at": max(row.flushed_at for row in rows)}


TABLES = (
    Figures(LatencyFlush, ("stage", "provider"), _merged_latencies),
    Figures(AckOutcome, ("provider", "code"), _merged_counts),
    Figures(RefusalCount, ("provider", "reason"), _merged_counts),
)


def roll_up_minutes(*, pace: Pace, clock: Clock) -> Sequence[Outcome]:
    """Rows merged by table. Raises django.db.Error."""
    before = datetime_of(us=clock.now_us()) - MINUTES_AFTER - timedelta(minutes=1)  # a row's minute is its beginning
    return _roll_up(NOT_ROLLED_UP, MINUTE, before=before, pace=pace, clock=clock)


def roll_up_hours(*, pace: Pace, clock: Clock) -> Sequence[Outcome]:
    """Rows merged by table. Raises django.db.Error."""
    before = _hour_of(datetime_of(us=clock.now_us()) - HOURS_AFTER)
    return _roll_up(None, HOUR, before=before, pace=pace, clock=clock)


def _roll_up(single: Any, span: str, *, before: datetime, pace: Pace, clock: Clock) -> Sequence[Outcome]:
    deadline_ns = clock.monotonic_ns() + round(pace.budget.total_seconds() * 1e9)
    outcomes = []
    for figures in TABLES:
        rows = figures.model._default_manager.filter(minute__lt=before)
        sources = rows.filter(process=MINUTE) if single is None else rows.filter(single)

        def step(_: int, figures: Figures = figures, sources: QuerySet[Any] = sources) -> int | None:
            return _roll_up_oldest(figures, sources, span=span)

        outcomes.append(in_steps(step, pace=pace, clock=clock, deadline_ns=deadline_ns))
    return outcomes


def _roll_up_oldest(figures: Figures, sources: QuerySet[Any], *, span: str) -> int | None:
    """All rows of the oldest time and key into one; how many. None: nothing is left, or another run has the lock."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_xact_lock(%s)", [LOCK])
        if not cursor.fetchone()[0]:
            return None
    oldest = sources.order_by("minute").values("minute", *figures.key).first()
    if oldest is None:
        return None
    begin = oldest["minute"] if span == MINUTE else _hour_of(oldest["minute"])
    key = {name: oldest[name] for name in figures.key}
    rows = _rows(figures, key, begin=begin, span=span)
    _mark(rows)
    figures.model._default_manager.filter(pk__in=[row.pk for row in rows]).delete()
    figures.model._default_manager.create(minute=begin, process=span, flush_number=0, **key, **figures.merge(rows))
    return len(rows)


def _rows(figures: Figures, key: dict[str, Any], *, begin: datetime, span: str) -> Sequence[Any]:
    """The sources, and the roll-up that is there already where some came late."""
    rows = figures.model._default_manager.filter(**key)
    if span == MINUTE:
        return list(rows.filter(minute=begin).exclude(process=HOUR))
    return list(rows.filter(minute__gte=begin, minute__lt=begin + timedelta(hours=1), process__in=[MINUTE, HOUR]))


def _mark(rows: Sequence[Any]) -> None:
    """A process stores its flushes one after the other, so all up to the newest of these are stored."""
    newest: dict[str, int] = {}
    for row in rows:
        if row.process not in (MINUTE, HOUR):
            newest[row.process] = max(row.flush_number, newest.get(row.process, 0))
    with connection.cursor() as cursor:
        cursor.executemany(_MARK, sorted(newest.items()))


_TABLE = FlushMark._meta.db_table
_MARK = (
    f"INSERT INTO {_TABLE} AS known (process, flush_number, rolled_at) VALUES (%s, %s, now()) "  # noqa: S608
    "ON CONFLICT (process) DO UPDATE SET rolled_at = now(),"
    " flush_number = greatest(known.flush_number, excluded.flush_number)"
)


def _hour_of(moment: datetime) -> datetime:
    return moment.replace(minute=0, second=0, microsecond=0)
