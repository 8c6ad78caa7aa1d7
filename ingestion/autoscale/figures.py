"""What a few seconds of observations say about the lanes and their workers. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import takewhile


@dataclass(frozen=True, slots=True, kw_only=True)
class LaneSeen:
    """One lane at one moment. `appended_count` only rises, until Redis loses its data."""

    depth_count: int = 0
    age_ms: float = 0.0  # of the oldest entry: no event that is committed from now on has waited less than its share
    appended_count: int = 0
    is_held: bool = False  # a worker is at it
    is_resting: bool = False  # the database refused its last attempt, or a person paused it


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """All lanes at one moment of a steady clock, and the workers that were alive."""

    at_s: float
    lanes: Sequence[LaneSeen]
    workers_count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """Of the window that ends with the newest observation. Lanes that rest count only where it says so."""

    age_ms: float  # of the oldest entry anywhere that does not rest: bounds the lag of every commit from now on
    worst_age_ms: float  # with the lanes that rest
    depth_count: int
    arrival_per_s: float
    drain_per_s: float
    ahead_ms: float  # the lag that the depth makes certain at the present drain rate; 0 for less than a batch a worker
    full_load_per_s: float | None  # what the workers drained while each had a full batch waiting, if they had
    is_stuck: bool  # something waits and is tried, and nothing at all was committed lately
    busy_lanes_count: int
    resting_lanes_count: int
    waiting_ages_ms: tuple[float, ...]  # of the lanes that have entries, do not rest, and have no worker at them

    @property
    def lag_ms(self) -> float:
        return max(self.age_ms, self.ahead_ms)


def figures_of(samples: Sequence[Seen], *, batch_count: int, recent_s: float, turn_ms: float) -> Figures:
    """Of at least one sample, the oldest first."""
    first, last = samples[0], samples[-1]
    recent = next(seen for seen in samples if last.at_s - seen.at_s <= recent_s)
    awake = [lane for lane in last.lanes if not lane.is_resting]
    depth_count = sum(lane.depth_count for lane in awake)
    arrival, drain = _rates(first, last)
    waits = any(lane.depth_count for lane in last.lanes)
    tried = any(lane.is_held or lane.is_resting for lane in last.lanes)
    useful_count = max(min(last.workers_count, len(last.lanes)), 1)
    return Figures(
        age_ms=max((lane.age_ms for lane in awake), default=0.0),
        worst_age_ms=max((lane.age_ms for lane in last.lanes), default=0.0),
        depth_count=depth_count,
        arrival_per_s=arrival,
        drain_per_s=drain,
        ahead_ms=1_000 * depth_count / drain if drain and depth_count >= batch_count * useful_count else 0.0,
        full_load_per_s=_full_load_per_s(samples, batch_count=batch_count, at_least_s=recent_s),
        is_stuck=waits and tried and recent is not last and _settled_count(recent, last) == 0,
        busy_lanes_count=_busy_lanes_count(samples, turn_ms=turn_ms),
        resting_lanes_count=len(last.lanes) - len(awake),
        waiting_ages_ms=tuple(lane.age_ms for lane in awake if lane.depth_count and not lane.is_held),
    )


def _rates(first: Seen, last: Seen) -> tuple[float, float]:
    """Entries a second that came, and that left. Nothing is known of a single observation: 0."""
    seconds = last.at_s - first.at_s
    if seconds <= 0:
        return 0.0, 0.0
    return _appended_count(first, last) / seconds, _settled_count(first, last) / seconds


def _appended_count(first: Seen, last: Seen) -> int:
    pairs = zip(first.lanes, last.lanes, strict=True)
    return sum(max(after.appended_count - before.appended_count, 0) for before, after in pairs)


def _settled_count(first: Seen, last: Seen) -> int:
    """Entries that left. A lane that lost its data counts as one where nothing left."""
    return sum(
        max((after.appended_count - after.depth_count) - (before.appended_count - before.depth_count), 0)
        for before, after in zip(first.lanes, last.lanes, strict=True)
    )


def _full_load_per_s(samples: Sequence[Seen], *, batch_count: int, at_least_s: float) -> float | None:
    """Of the newest samples in a row that show a full load, if they span long enough to tell."""
    loaded = list(
        takewhile(lambda seen: _depth_count(seen) >= batch_count * max(seen.workers_count, 1), reversed(samples))
    )
    if not loaded or loaded[0].at_s - loaded[-1].at_s < at_least_s:
        return None
    return _rates(loaded[-1], loaded[0])[1]


def _depth_count(seen: Seen) -> int:
    return sum(lane.depth_count for lane in seen.lanes if not lane.is_resting)


def _busy_lanes_count(samples: Sequence[Seen], *, turn_ms: float) -> int:
    """Lanes that would have an entry again whenever they give up their worker."""
    span_s = samples[-1].at_s - samples[0].at_s
    columns = list(zip(*(seen.lanes for seen in samples), strict=True))
    return sum(
        1
        for lane in columns
        if all(each.depth_count for each in lane)
        or (span_s > 0 and (lane[-1].appended_count - lane[0].appended_count) * turn_ms >= 1_000 * span_s)
    )


def rotation_ms(*, lanes_count: int, workers_count: int, turn_ms: float) -> float:
    """How long a lane waits for its turn where several share a worker."""
    rounds = math.ceil(lanes_count / max(workers_count, 1))
    return max(rounds - 1, 0) * turn_ms
