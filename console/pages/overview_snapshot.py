"""What the overview knows at one moment. Sources are asked one by one: a silent one silences no other."""

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum

from django.db import Error as DatabaseError

from console.pages.overview_gates import GatesRead, gates_read
from console.promises import Promises, promises_now
from console.selectors import duplicate_count, has_events, open_dead_letter_count, quarantined_count
from ingestion.autoscale.standing import Standing
from ingestion.buffer.store import BufferUnavailable
from ingestion.selectors import (
    LaneState,
    StageLatency,
    WorkerState,
    ingest_rate_per_second,
    lane_states,
    scaling,
    stage_latencies,
    workers,
)

FRESH_FOR = timedelta(seconds=1)
GATES_FRESH_FOR = timedelta(seconds=30)  # a verdict is read from the bundle's stored bytes
DATABASE_SILENT = "PostgreSQL cannot be asked"
BUFFER_SILENT = "Redis cannot be asked"


class Window(StrEnum):
    """How far back the percentiles look."""

    MINUTES = "5m"
    QUARTER = "15m"
    HOUR = "1h"

    @property
    def length(self) -> timedelta:
        return _LENGTH[self]

    @property
    def span(self) -> str:
        return _SPAN[self]

    @property
    def stages_fresh_for(self) -> timedelta:
        """How old percentiles may be: merging an hour's histograms takes seconds and its result moves by the minute."""
        return self.length / 60


_LENGTH = {Window.MINUTES: timedelta(minutes=5), Window.QUARTER: timedelta(minutes=15), Window.HOUR: timedelta(hours=1)}
_SPAN = {Window.MINUTES: "5 minutes", Window.QUARTER: "15 minutes", Window.HOUR: "hour"}


@dataclass(frozen=True, slots=True)
class Reading[Value]:
    """What a source said, or why it said nothing. A missing value is never a zero."""

    value: Value | None = None
    problem: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class OverviewSources:
    """Where the figures come from; other ones in tests."""

    stage_latencies: Callable[..., list[StageLatency]] = stage_latencies
    lane_states: Callable[[], list[LaneState]] = lane_states
    ingest_rate_per_second: Callable[..., float | None] = ingest_rate_per_second
    workers: Callable[[], Sequence[WorkerState]] = workers
    scaling: Callable[[], Standing | None] = scaling
    open_dead_letter_count: Callable[[], int] = open_dead_letter_count
    duplicate_count: Callable[..., int] = duplicate_count
    quarantined_count: Callable[..., int] = quarantined_count
    has_events: Callable[[], bool] = has_events
    promises: Callable[[], Promises] = promises_now
    gates: Callable[[], GatesRead] = gates_read


@dataclass(frozen=True, slots=True, kw_only=True)
class OverviewSnapshot:
    read_at: datetime
    window: Window
    rate_10s: Reading[float]
    rate_60s: Reading[float]
    lanes: Reading[Sequence[LaneState]]
    workers: Reading[Sequence[WorkerState]]
    scaling: Reading[Standing]
    stages: Reading[Sequence[StageLatency]]
    stages_read_at: datetime
    open_dead_letters: Reading[int]
    duplicates_hour: Reading[int]
    quarantined_day: Reading[int]
    has_events: Reading[bool]
    promises: Reading[Promises]
    gates: Reading[GatesRead]


def read_overview(
    *,
    window: Window,
    sources: OverviewSources,
    now: datetime,
    stages: Reading[Sequence[StageLatency]],
    stages_read_at: datetime,
    gates: Reading[GatesRead],
) -> OverviewSnapshot:
    """Asks every other source once. Never raises for a source that is down."""
    return OverviewSnapshot(
        read_at=now,
        window=window,
        rate_10s=_asked(lambda: sources.ingest_rate_per_second(last=timedelta(seconds=10))),
        rate_60s=_asked(lambda: sources.ingest_rate_per_second(last=timedelta(seconds=60))),
        lanes=_asked(sources.lane_states),
        workers=_asked(sources.workers),
        scaling=_asked(sources.scaling),
        stages=stages,
        stages_read_at=stages_read_at,
        open_dead_letters=_asked(sources.open_dead_letter_count),
        duplicates_hour=_asked(lambda: sources.duplicate_count(now=now, last=timedelta(hours=1))),
        quarantined_day=_asked(lambda: sources.quarantined_count(now=now, last=timedelta(days=1))),
        has_events=_asked(sources.has_events),
        promises=_asked(sources.promises),
        gates=gates,
    )


def read_stages(*, window: Window, sources: OverviewSources, now: datetime) -> Reading[Sequence[StageLatency]]:
    """The latencies of the window that ends now."""
    return _asked(lambda: sources.stage_latencies(since=now - window.length, until=now))


def _asked[Value](source: Callable[[], Value | None]) -> Reading[Value]:
    try:
        return Reading(source())
    except BufferUnavailable:
        return Reading(problem=BUFFER_SILENT)
    except DatabaseError:
        return Reading(problem=DATABASE_SILENT)


class SnapshotCache:
    """One snapshot a window and second, however many tabs ask: the first one reads, the others wait for it.

    Nothing that could not be read is kept: the next request asks again.
    """

    def __init__(self, *, sources: OverviewSources, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._sources = sources
        self._now = now
        self._lock = threading.Lock()
        self._snapshots: dict[Window, OverviewSnapshot] = {}
        self._gates: Reading[GatesRead] = Reading()
        self._gates_read_at: datetime | None = None

    def snapshot(self, window: Window) -> OverviewSnapshot:
        """At most `FRESH_FOR` old. Holds nothing that depends on who asks."""
        with self._lock:
            now = self._now()
            known = self._snapshots.get(window)
            if known is not None and _is_fresh(known.read_at, now=now, limit=FRESH_FOR):
                return known
            stages, stages_read_at = self._stages(window, known=known, now=now)
            self._snapshots[window] = read_overview(
                window=window,
                sources=self._sources,
                now=now,
                stages=stages,
                stages_read_at=stages_read_at,
                gates=self._asked_gates(now),
            )
            return self._snapshots[window]

    def _asked_gates(self, now: datetime) -> Reading[GatesRead]:
        read_at = self._gates_read_at
        if self._gates.value is None or read_at is None or not _is_fresh(read_at, now=now, limit=GATES_FRESH_FOR):
            self._gates, self._gates_read_at = _asked(self._sources.gates), now
        return self._gates

    def _stages(
        self, window: Window, *, known: OverviewSnapshot | None, now: datetime
    ) -> tuple[Reading[Sequence[StageLatency]], datetime]:
        if (
            known is not None
            and not known.stages.problem
            and _is_fresh(known.stages_read_at, now=now, limit=window.stages_fresh_for)
        ):
            return known.stages, known.stages_read_at
        return read_stages(window=window, sources=self._sources, now=now), now


def _is_fresh(read_at: datetime, *, now: datetime, limit: timedelta) -> bool:
    return timedelta(0) <= now - read_at < limit  # a clock set back makes everything stale, never fresh for ever
