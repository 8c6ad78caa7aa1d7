"""The figures of lanes, workers and queues. Rates come from two looks of this process, so the first one knows none."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from django.conf import settings
from django.db import Error
from django.utils.safestring import SafeString

from autocom.build import build
from autocom.kernel.clock import SYSTEM_CLOCK
from console.lane_rest import LaneRest, rest_of
from console.shown import UNKNOWN, age, milliseconds, moment, size
from ingestion.buffer.store import BufferUnavailable
from ingestion.pauses import Pause, paused_lanes
from ingestion.selectors import (
    STUCK_STATES,
    WORKER_SILENT_AT_MOST,
    LaneState,
    QueueState,
    WorkerState,
    lane_states,
    queues,
    workers,
)

FRESH_NS = 1_000_000_000  # however many tabs ask, one look a second
RATE_OVER_NS = 30 * 1_000_000_000
STATES = {
    "idle": ("check_circle", "idle"),
    "draining": ("sync", "draining"),
    "waiting": ("hourglass_top", "waiting"),
    "backing_off": ("snooze", "backing off"),
    "full": ("block", "full"),
    "unattended": ("priority_high", "unattended"),
    "paused": ("pause_circle", "paused"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class LaneLine:
    lane: int
    icon: str
    state: str
    is_stuck: bool
    depth: str
    bytes: str
    share_percent: int
    oldest: str
    rate_in: str
    rate_out: str
    holder: str
    lease: str
    rest: LaneRest | None
    pause: str
    pause_since: SafeString | str


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerLine:
    name: str
    queue: str
    state: str
    lane: str
    done: str
    build: str
    is_other_build: bool
    heartbeat: str
    is_late: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class PipelineFigures:
    read_at: SafeString | str
    lanes: Sequence[LaneLine]
    workers: Sequence[WorkerLine]
    queues: Sequence[QueueState]
    problem: str  # of Redis: then nothing is known of all three
    pauses_problem: str
    bounds: str
    status: str


@dataclass(frozen=True, slots=True)
class _Look:
    at_ns: int
    counts: dict[int, tuple[int, int]]  # lane: appended ever, waiting


class Looks:
    """What this process saw of the lanes within the last half minute."""

    def __init__(self, *, clock_ns: Callable[[], int] = SYSTEM_CLOCK.monotonic_ns) -> None:
        self._clock_ns = clock_ns
        self._lock = threading.Lock()
        self._seen: deque[_Look] = deque()
        self._last: tuple[int, PipelineFigures] | None = None

    def look(self) -> PipelineFigures:
        with self._lock:
            now_ns = self._clock_ns()
            if self._last is not None and now_ns - self._last[0] < FRESH_NS:
                return self._last[1]
            figures = self._read(now_ns)
            self._last = None if figures.problem else (now_ns, figures)
            return figures

    def forget(self) -> None:
        """The next look reads again: something was done."""
        with self._lock:
            self._last = None

    def _read(self, now_ns: int) -> PipelineFigures:
        now = datetime.now(UTC)
        try:
            states, found_workers, found_queues = lane_states(), workers(), queues()
        except BufferUnavailable:
            return _nothing_known(now)
        pauses, pauses_problem = _pauses()
        self._seen.append(_Look(now_ns, {each.lane: (each.appended_count, each.depth_count) for each in states}))
        while now_ns - self._seen[0].at_ns > RATE_OVER_NS:
            self._seen.popleft()
        first = self._seen[0]
        return PipelineFigures(
            read_at=moment(now, now=now),
            lanes=[_line(each, rates_of(each, first, now_ns), pauses.get(each.lane), now=now) for each in states],
            workers=[_worker(each, now=now) for each in found_workers],
            queues=found_queues,
            problem="",
            pauses_problem=pauses_problem,
            bounds=f"{settings.AUTOCOM.lane_bound_count:,} entries or {size(settings.AUTOCOM.lane_bound_bytes)}",
            status=_status(states, found_workers, now=now),
        )


LOOKS = Looks()


def rates_of(state: LaneState, first: _Look, now_ns: int) -> tuple[str, str]:
    """Entries a second in and out since the first look. A lane that lost its data counts on from nothing."""
    passed_s = (now_ns - first.at_ns) / 1e9
    if passed_s <= 0 or state.lane not in first.counts:
        return UNKNOWN, UNKNOWN
    appended, waiting = first.counts[state.lane]
    came = state.appended_count - appended
    left = came - (state.depth_count - waiting)
    if came < 0 or left < 0:
        return UNKNOWN, UNKNOWN
    return f"{came / passed_s:,.1f}/s", f"{left / passed_s:,.1f}/s"


def _pauses() -> tuple[dict[int, Pause], str]:
    try:
        return dict(paused_lanes()), ""
    except Error:
        return {}, "PostgreSQL cannot be asked: who paused a lane, and why, is not known"


def _nothing_known(now: datetime) -> PipelineFigures:
    problem = f"Redis cannot be asked at {now:%H:%M:%S} UTC: depth, workers and queues are {UNKNOWN}"
    return PipelineFigures(
        read_at=moment(now, now=now),
        lanes=[],
        workers=[],
        queues=[],
        problem=problem,
        pauses_problem="",
        bounds="",
        status=problem,
    )


def _line(state: LaneState, rates: tuple[str, str], pause: Pause | None, *, now: datetime) -> LaneLine:
    icon, word = STATES[state.state]
    if state.paused_since is not None and state.state != "paused":
        word = f"{word}, paused"
    bounds = settings.AUTOCOM
    share = max(state.depth_count / bounds.lane_bound_count, state.size_bytes / bounds.lane_bound_bytes)
    return LaneLine(
        lane=state.lane,
        icon=icon,
        state=word,
        is_stuck=state.state in STUCK_STATES,
        depth=f"{state.depth_count:,}",
        bytes=size(state.size_bytes),
        share_percent=min(round(share * 100), 100),
        oldest="none" if state.oldest_age_ms is None else age(timedelta(milliseconds=state.oldest_age_ms)),
        rate_in=rates[0],
        rate_out=rates[1],
        holder=state.holder or "nobody",
        lease=milliseconds(state.lease_left_ms) if state.holder else "",
        rest=rest_of(state, now=now),
        pause=f"by {pause.by}: {pause.reason}" if pause else "",
        pause_since=moment(state.paused_since, now=now) if state.paused_since else "",
    )


def _worker(worker: WorkerState, *, now: datetime) -> WorkerLine:
    since = None if worker.last_heartbeat is None else now - worker.last_heartbeat
    return WorkerLine(
        name=worker.name,
        queue=worker.queue,
        state=worker.state,
        lane="none" if worker.lane is None else str(worker.lane),
        done=f"{worker.done_count:,}",
        build=worker.build or UNKNOWN,
        is_other_build=bool(worker.build) and worker.build != build(),
        heartbeat="never" if since is None else f"{age(since)} ago",
        is_late=since is None or since > WORKER_SILENT_AT_MOST,
    )


def _status(states: Sequence[LaneState], found: Sequence[WorkerState], *, now: datetime) -> str:
    """One sentence, read out when it changes."""
    stuck = [str(each.lane) for each in states if each.state in STUCK_STATES]
    paused = [str(each.lane) for each in states if each.paused_since is not None]
    alive = sum(
        1 for each in found if each.last_heartbeat is not None and now - each.last_heartbeat <= WORKER_SILENT_AT_MOST
    )
    told = [f"{alive} worker{'' if alive == 1 else 's'} alive" if alive else "No worker is alive"]
    told += [f"needs a look: lane {', '.join(stuck)}"] if stuck else []
    told += [f"paused: lane {', '.join(paused)}"] if paused else []
    return "; ".join(told) + ("." if stuck or paused or not alive else "; all lanes move or are empty.")
