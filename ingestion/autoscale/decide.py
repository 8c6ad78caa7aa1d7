"""How many drain workers are wanted: state in, state out, time inside what was seen. Pure, so a simulation judges it.

The lag is read off the age of each lane's oldest entry: no event of the lane has waited longer, so its maximum bounds
the lag's P95, it is there within the second, and it is there while PostgreSQL is not. Measured latencies are neither.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from ingestion.autoscale.figures import Figures, Seen, figures_of, rotation_ms


@dataclass(frozen=True, slots=True, kw_only=True)
class ScalingPolicy:
    """Bounds, target, and how quickly. Shares are of the target."""

    minimum_count: int
    maximum_count: int
    target_ms: float
    lanes_count: int
    turn_ms: float = 350.0  # how long a lane keeps its worker while others wait
    batch_count: int = 500
    window_s: float = 3.0
    recent_s: float = 1.0
    settle_s: float = 3.0  # a new worker needs about this long to take its first lane
    hold_s: float = 30.0  # of quiet before one worker is stopped
    hold_longest_s: float = 600.0
    regret_s: float = 300.0  # an up this soon after a down says that the down was a mistake
    mistake_known_for_s: float = 1_800.0
    capacity_known_for_s: float = 300.0
    catch_up_s: float = 5.0  # within which a backlog should be gone
    over_count: int = 2  # observations in a row
    late_share: float = 0.8
    early_share: float = 0.5
    quiet_share: float = 0.6
    full_share: float = 0.7  # of what the workers can do
    near_share: float = 0.8  # of a rate that was too much

    @property
    def ceiling_count(self) -> int:
        """More workers than lanes have nothing to do; the minimum is the operator's word."""
        return max(self.minimum_count, min(self.maximum_count, self.lanes_count))


class Action(StrEnum):
    UP = "up"
    DOWN = "down"
    HOLD = "hold"


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    action: Action
    wanted_count: int
    why: str
    figures: Figures | None = None  # None: the lanes could not be seen
    is_at_maximum: bool = False  # more would be wanted than may run


@dataclass(frozen=True, slots=True, kw_only=True)
class Mistake:
    """So many workers missed the target at this rate."""

    count: int
    per_s: float
    at_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ScalerState:
    wanted_count: int
    samples: Sequence[Seen] = ()
    late_count: int = 0  # observations in a row that ask for more workers
    loud_count: int = 0  # observations in a row that are not quiet
    quiet_since_s: float | None = None
    peak_per_s: float = 0.0  # the most that came in while it was quiet, of the last `hold_s`
    peak_at_s: float = 0.0
    capacity_per_s: float | None = None  # what one worker has shown
    capacity_at_s: float = 0.0
    changed_at_s: float | None = None
    down_at_s: float | None = None
    hold_s: float
    mistake: Mistake | None = None


def first_state(policy: ScalingPolicy, *, wanted_count: int) -> ScalerState:
    wanted = min(max(wanted_count, policy.minimum_count), policy.ceiling_count)
    return ScalerState(wanted_count=wanted, hold_s=policy.hold_s)


def decide(state: ScalerState, seen: Seen | None, policy: ScalingPolicy) -> tuple[ScalerState, Decision]:
    """`seen` is None when Redis cannot be asked: nothing is known then, so nothing changes."""
    if seen is None:
        blind = replace(state, samples=(), late_count=0, quiet_since_s=None)
        return blind, Decision(action=Action.HOLD, wanted_count=state.wanted_count, why="Redis cannot be asked")
    state, figures = _observed(state, seen, policy)
    if figures.is_stuck:
        why = "the database refuses" if figures.resting_lanes_count else "nothing is committed"
        return _held(state, figures, f"{why}: more workers would not help")
    if state.late_count >= policy.over_count:
        return _up(state, figures, policy, now_s=seen.at_s)
    if state.quiet_since_s is not None and state.wanted_count > policy.minimum_count:
        return _down(state, figures, policy, now_s=seen.at_s)
    return _held(state, figures, _calm(state, figures, policy))


def _observed(state: ScalerState, seen: Seen, policy: ScalingPolicy) -> tuple[ScalerState, Figures]:
    kept = [each for each in state.samples if seen.at_s - each.at_s <= policy.window_s]
    if kept and len(kept[-1].lanes) != len(seen.lanes):
        kept = []
    samples = (*kept, seen)
    figures = figures_of(samples, batch_count=policy.batch_count, recent_s=policy.recent_s, turn_ms=policy.turn_ms)
    loud_count = state.loud_count + 1 if _is_loud(figures, policy) else 0
    late_count = state.late_count + 1 if _is_late(figures, policy) else 0
    is_quiet = not late_count and loud_count < policy.over_count  # the age of a lane's oldest entry swings
    state = replace(
        state,
        samples=samples,
        changed_at_s=seen.at_s if state.changed_at_s is None else state.changed_at_s,
        late_count=late_count,
        loud_count=loud_count,
        quiet_since_s=(seen.at_s if state.quiet_since_s is None else state.quiet_since_s) if is_quiet else None,
    )
    state = _with_peak(state, figures, now_s=seen.at_s)
    return _with_capacity(state, figures, seen, policy), figures


def _with_peak(state: ScalerState, figures: Figures, *, now_s: float) -> ScalerState:
    is_over = state.quiet_since_s in (None, now_s) or now_s - state.peak_at_s > state.hold_s
    if is_over or figures.arrival_per_s >= state.peak_per_s:
        return replace(state, peak_per_s=figures.arrival_per_s, peak_at_s=now_s)
    return state


def _is_loud(figures: Figures, policy: ScalingPolicy) -> bool:
    longest_ms = max(figures.worst_age_ms, figures.ahead_ms)
    return longest_ms > policy.quiet_share * policy.target_ms or figures.resting_lanes_count > 0


def _is_late(figures: Figures, policy: ScalingPolicy) -> bool:
    """Too old already, or bound to be by the depth."""
    return figures.age_ms > policy.late_share * policy.target_ms or figures.ahead_ms > policy.target_ms


def _with_capacity(state: ScalerState, figures: Figures, seen: Seen, policy: ScalingPolicy) -> ScalerState:
    """What one worker can do: shown exactly under a full load, at least by any load. Old knowledge is none."""
    workers_count = max(min(seen.workers_count, len(seen.lanes)), 1)
    known = state.capacity_per_s if seen.at_s - state.capacity_at_s <= policy.capacity_known_for_s else None
    if figures.full_load_per_s:
        shown = figures.full_load_per_s / workers_count
        smoothed = shown if known is None else 0.7 * known + 0.3 * shown
        return replace(state, capacity_per_s=smoothed, capacity_at_s=seen.at_s)
    at_least = figures.drain_per_s / workers_count
    return replace(state, capacity_per_s=max(known, at_least) if known is not None else None)


def _up(state: ScalerState, figures: Figures, policy: ScalingPolicy, *, now_s: float) -> tuple[ScalerState, Decision]:
    wanted = state.wanted_count
    lag = f"lag {figures.lag_ms:.0f} ms against a target of {policy.target_ms:.0f} ms"
    if wanted >= policy.ceiling_count:
        return _held(state, figures, f"at maximum: {lag}", is_at_maximum=True)
    idle_lanes_count = sum(1 for age_ms in figures.waiting_ages_ms if age_ms > policy.early_share * policy.target_ms)
    if not idle_lanes_count:
        return _held(state, figures, f"{lag}, but each late lane has a worker: more would find nothing to do")
    if state.changed_at_s is not None and now_s - state.changed_at_s < policy.settle_s:
        return _held(state, figures, f"{lag}; the last change is still settling")
    shrinks_per_s = figures.drain_per_s - figures.arrival_per_s
    if figures.depth_count < shrinks_per_s * policy.settle_s:
        return _held(state, figures, f"{lag}, but what waits is gone before a new worker begins")
    asked = _needed_count(state, figures, policy)
    new = min(asked, wanted + idle_lanes_count, policy.ceiling_count)
    state = _learned(state, figures, policy, now_s=now_s)
    state = replace(state, wanted_count=new, changed_at_s=now_s, late_count=0, quiet_since_s=None, down_at_s=None)
    return state, Decision(
        action=Action.UP, wanted_count=new, why=lag, figures=figures, is_at_maximum=asked > policy.ceiling_count
    )


def _learned(state: ScalerState, figures: Figures, policy: ScalingPolicy, *, now_s: float) -> ScalerState:
    """After a down that proved wrong the next one waits twice as long, and this rate is not tried again for a while."""
    if state.down_at_s is not None and now_s - state.down_at_s < policy.regret_s:
        mistake = Mistake(count=state.wanted_count, per_s=figures.arrival_per_s, at_s=now_s)
        return replace(state, hold_s=min(2 * state.hold_s, policy.hold_longest_s), mistake=mistake)
    is_long_ago = state.changed_at_s is None or now_s - state.changed_at_s > max(policy.regret_s, 2 * state.hold_s)
    return replace(state, hold_s=policy.hold_s) if is_long_ago else state


def _needed_count(state: ScalerState, figures: Figures, policy: ScalingPolicy) -> int:
    """For the arrivals with room to spare and the backlog gone in time. One more where no worker has shown its best."""
    if not state.capacity_per_s:
        return state.wanted_count + 1
    per_s = figures.arrival_per_s / policy.full_share + figures.depth_count / policy.catch_up_s
    return max(state.wanted_count + 1, math.ceil(per_s / state.capacity_per_s))


def _down(state: ScalerState, figures: Figures, policy: ScalingPolicy, *, now_s: float) -> tuple[ScalerState, Decision]:
    assert state.quiet_since_s is not None  # noqa: S101  (asked by the caller)
    assert state.changed_at_s is not None  # noqa: S101  (set by the first observation)
    quiet_s = now_s - max(state.quiet_since_s, state.changed_at_s)
    if quiet_s < state.hold_s:
        return _held(state, figures, f"quiet for {quiet_s:.0f} s of {state.hold_s:.0f}")
    if reason := _one_fewer_fails(state, figures, policy, now_s=now_s):
        return _held(state, figures, reason)
    new = state.wanted_count - 1
    state = replace(state, wanted_count=new, changed_at_s=now_s, down_at_s=now_s)
    why = f"quiet for {quiet_s:.0f} s at up to {state.peak_per_s:.0f}/s"
    return state, Decision(action=Action.DOWN, wanted_count=new, why=why, figures=figures)


def _one_fewer_fails(state: ScalerState, figures: Figures, policy: ScalingPolicy, *, now_s: float) -> str:
    """Why the lag would not hold with one worker fewer, or nothing."""
    fewer = state.wanted_count - 1
    wait_ms = rotation_ms(lanes_count=figures.busy_lanes_count, workers_count=fewer, turn_ms=policy.turn_ms)
    if wait_ms > policy.quiet_share * policy.target_ms:
        return f"with {fewer} a lane would wait {wait_ms:.0f} ms for its turn"
    if state.capacity_per_s and state.peak_per_s > policy.full_share * state.capacity_per_s * fewer:
        return f"with {fewer} there is no room for {state.peak_per_s:.0f}/s at {state.capacity_per_s:.0f}/s each"
    known = state.mistake
    if (
        known is not None
        and now_s - known.at_s <= policy.mistake_known_for_s
        and (fewer <= known.count and state.peak_per_s >= policy.near_share * known.per_s)
    ):
        return f"with {known.count} the target was missed at {known.per_s:.0f}/s"
    return ""


def _held(
    state: ScalerState, figures: Figures, why: str, *, is_at_maximum: bool = False
) -> tuple[ScalerState, Decision]:
    return state, Decision(
        action=Action.HOLD, wanted_count=state.wanted_count, why=why, figures=figures, is_at_maximum=is_at_maximum
    )


def _calm(state: ScalerState, figures: Figures, policy: ScalingPolicy) -> str:
    if state.wanted_count <= policy.minimum_count and state.quiet_since_s is not None:
        return "at minimum"
    return f"lag {figures.lag_ms:.0f} ms, within the target of {policy.target_ms:.0f} ms"
