"""The number of workers under loads in simulated time: the lag holds, nobody is idle for long, and nothing flaps."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest

from ingestion.autoscale.decide import Action, ScalingPolicy, decide, first_state
from ingestion.autoscale.figures import LaneSeen, Seen
from tests.support.drain_simulation import Simulation

TARGET_S = 1.0
HOUR_S = 3_600.0


def policy(**others: Any) -> ScalingPolicy:
    given = {"minimum_count": 1, "maximum_count": 4, "target_ms": 1_000 * TARGET_S, "lanes_count": 4}
    return ScalingPolicy(**{**given, **others})


def even(per_s: Callable[[float], float]) -> Callable[[float], Sequence[float]]:
    """The same rate on each of four lanes."""
    return lambda at_s: [per_s(at_s) / 4] * 4


def fewest_that_hold(per_s: float) -> int:
    """By trying each number for itself: the fewest that keep the P95 a fifth below the target."""
    for count in range(1, 4):
        fixed = Simulation(policy=policy(), arrivals=even(lambda _: per_s), fixed_count=count).run(60)
        if fixed.lag_p95_s(since=20) <= 0.8 * TARGET_S:
            return count
    return 4


@pytest.mark.parametrize("per_s", [4, 50, 300, 1_000, 1_500, 2_400])
def test_a_steady_load_ends_with_the_fewest_workers_that_hold_the_target(per_s: float) -> None:
    run = Simulation(policy=policy(), arrivals=even(lambda _: per_s)).run(1_800)
    assert run.state.wanted_count == fewest_that_hold(per_s)
    assert run.lag_p95_s(since=60) <= TARGET_S
    assert len(run.changes()) <= 5  # of which three are a trial of fewer, and its end


@pytest.mark.parametrize("per_s", [50, 300])
def test_where_lanes_would_wait_for_their_turn_fewer_workers_are_not_even_tried(per_s: float) -> None:
    run = Simulation(policy=policy(), arrivals=even(lambda _: per_s)).run(400)
    assert [count for _, count in run.changes()] == [2]
    assert "a lane would wait" in run.decisions[-1][1].why


def test_a_load_that_fewer_workers_almost_hold_is_tried_twice_an_hour_at_most() -> None:
    run = Simulation(policy=policy(), arrivals=even(lambda _: 2_000)).run(4_000)
    downs = [at_s for at_s, count in run.changes() if count == 3]
    assert 2 <= len(downs) <= 3
    assert min(after - before for before, after in pairwise(downs)) >= HOUR_S / 2
    assert "the target was missed" in run.decisions[-1][1].why


def test_a_step_is_met_within_seconds_and_stays_met() -> None:
    run = Simulation(policy=policy(), arrivals=even(lambda at_s: 1_500 if at_s > 60 else 50)).run(600)
    assert next(at_s for at_s, _ in run.changes() if at_s > 60) < 64
    assert run.lag_p95_s(since=70) <= TARGET_S
    assert len(run.changes()) <= 8  # three would do; the others are a trial of fewer


def test_a_ramp_up_and_down_is_followed_with_few_changes_and_ends_at_the_minimum() -> None:
    def per_s(at_s: float) -> float:
        return max(min(at_s * 5, 6_000 - at_s * 5), 0)  # 3,000/s after ten minutes, nothing after twenty

    run = Simulation(policy=policy(), arrivals=even(per_s)).run(2_000)
    assert run.lag_p95_s() <= TARGET_S
    assert max(count for _, count in run.changes()) == 4
    assert run.state.wanted_count == 1
    assert len(run.changes()) <= 12  # six are needed


@pytest.mark.parametrize("period_s", [30, 120, 400])
def test_a_saw_tooth_does_not_make_it_flap(period_s: float) -> None:
    run = Simulation(policy=policy(), arrivals=even(lambda at_s: 2_500 if at_s % period_s < period_s / 5 else 50)).run(
        HOUR_S
    )
    first, second = (
        sum(1 for at_s, _ in run.changes() if start <= at_s < start + HOUR_S / 2) for start in (0, HOUR_S / 2)
    )
    assert second <= first, "it does not learn that going down was wrong"
    assert first + second <= 18
    assert run.lag_p95_s(since=HOUR_S / 2) <= 2 * TARGET_S


def test_a_burst_of_30000_gets_all_workers_at_once_and_loses_them_one_by_one() -> None:
    run = Simulation(policy=policy(), arrivals=even(lambda at_s: 300_000 if 60 <= at_s < 60.1 else 0)).run(400)
    assert run.committed_count() == pytest.approx(30_000, abs=4)
    assert [count for _, count in run.changes()] == [4, 3, 2, 1]
    assert run.changes()[0][0] < 62
    quiet_since_s = max(at_s for at_s, _, _ in run.lags)
    assert run.changes()[1][0] - quiet_since_s >= 29
    assert all(later - sooner >= 30 for (sooner, _), (later, _) in pairwise(run.changes()[1:]))
    alone = Simulation(policy=policy(), arrivals=run.arrivals, fixed_count=1).run(400)
    assert max(at_s for at_s, _, _ in run.lags) < 60 + (max(at_s for at_s, _, _ in alone.lags) - 60) / 2


def test_idle_is_the_minimum_without_a_change() -> None:
    run = Simulation(policy=policy(minimum_count=2), arrivals=even(lambda _: 0)).run(600)
    assert run.changes() == []
    assert run.state.wanted_count == 2


def test_ten_minutes_without_postgresql_start_no_worker_and_the_backlog_afterwards_starts_all() -> None:
    run = Simulation(
        policy=policy(minimum_count=2),
        arrivals=even(lambda at_s: 1_000 if at_s < 900 else 100),
        is_database_down=lambda at_s: 60 <= at_s < 660,
    ).run(1_800)
    assert [change for change in run.changes() if 60 <= change[0] < 660] == []
    assert {decision.action for at_s, decision in run.decisions if 70 <= at_s < 660} == {Action.HOLD}
    assert max(count for _, count in run.changes()) == 4
    assert run.state.wanted_count == 2
    assert len(run.changes()) <= 5
    assert run.lag_p95_s(since=1_200) <= TARGET_S


def test_a_database_that_answers_nothing_starts_no_worker_either() -> None:
    """No lane rests yet: each drain hangs in its commit, and lanes behind it grow old."""
    lanes = [LaneSeen(is_held=True), LaneSeen()]
    rules = policy(lanes_count=2)
    state = first_state(rules, wanted_count=1)
    for tick in range(60):
        now_s = tick / 2
        lanes = [
            replace(lane, depth_count=100 * tick + 1, appended_count=100 * tick + 1, age_ms=1_000 * now_s)
            for lane in lanes
        ]
        state, decision = decide(state, Seen(at_s=now_s, lanes=lanes, workers_count=1), rules)
        assert decision.action is Action.HOLD
    assert "nothing is committed" in decision.why


def test_batches_that_take_seconds_get_a_worker_at_the_first_that_is_committed() -> None:
    """Between two of them nothing is committed either; the lateness is not forgotten meanwhile."""
    rules = policy(lanes_count=2)
    state = first_state(rules, wanted_count=1)
    for tick in range(15):
        now_s = tick * 0.51  # a turn takes its time
        committed = 40 if tick >= 12 else 0
        held = LaneSeen(is_held=True, appended_count=10 * tick + 90, depth_count=10 * tick + 90 - committed)
        waiting = LaneSeen(appended_count=10 * tick + 1, depth_count=10 * tick + 1)
        lanes = [replace(lane, age_ms=1_000 * now_s) for lane in (held, waiting)]
        state, decision = decide(state, Seen(at_s=now_s, lanes=lanes, workers_count=1), rules)
        assert decision.wanted_count == (1 if tick < 12 else 2), tick


def test_what_a_worker_showed_under_a_full_load_tells_that_one_fewer_has_no_room() -> None:
    run = Simulation(policy=policy(), arrivals=even(lambda at_s: 5_000 if at_s < 20 else 1_500)).run(250)
    assert [count for _, count in run.changes()] == [4, 3]
    assert any("with 2 there is no room for 1500/s at" in decision.why for _, decision in run.decisions)
    assert run.state.capacity_per_s == pytest.approx(1_000, rel=0.2)


@pytest.mark.parametrize(("drained_per_s", "wanted"), [(700, 1), (520, 2)])
def test_a_backlog_that_is_gone_before_a_new_worker_begins_gets_none(drained_per_s: int, wanted: int) -> None:
    """340 wait and 500 come each second: 200 more than that leave, or 20."""
    rules = policy(lanes_count=2)
    state = first_state(rules, wanted_count=1)
    for tick in range(9):
        left = 340 + (8 - tick) * (drained_per_s - 500) // 2
        held = LaneSeen(is_held=True, appended_count=9_000 + 250 * tick, depth_count=left, age_ms=1_300)
        waiting = LaneSeen(appended_count=1, depth_count=1, age_ms=1_200)
        state, _ = decide(state, Seen(at_s=tick / 2, lanes=(held, waiting), workers_count=1), rules)
    assert state.wanted_count == wanted


def test_one_hot_lane_gets_no_second_worker() -> None:
    """Order needs one drain a lane: another worker would only take CPU from acks."""
    run = Simulation(policy=policy(), arrivals=lambda at_s: [1_500, 0, 0, 0]).run(120)
    assert run.changes() == []
    assert "each late lane has a worker" in run.decisions[-1][1].why


def test_above_what_all_can_do_it_says_at_maximum_and_stays_there() -> None:
    run = Simulation(policy=policy(maximum_count=3), arrivals=even(lambda _: 6_000)).run(120)
    assert run.state.wanted_count == 3
    assert all(decision.is_at_maximum for at_s, decision in run.decisions if at_s > 30)
    assert run.decisions[-1][1].why.startswith("at maximum: lag ")


@pytest.mark.parametrize(("minimum", "maximum", "lanes", "ceiling"), [(1, 64, 4, 4), (1, 3, 8, 3), (6, 8, 4, 6)])
def test_more_workers_than_lanes_are_never_wanted_beyond_the_minimum(
    minimum: int, maximum: int, lanes: int, ceiling: int
) -> None:
    rules = policy(minimum_count=minimum, maximum_count=maximum, lanes_count=lanes)
    run = Simulation(policy=rules, arrivals=lambda _: [5_000.0] * lanes).run(60)
    assert max(decision.wanted_count for _, decision in run.decisions) == ceiling
    assert run.decisions[-1][1].is_at_maximum


def test_a_redis_that_cannot_be_asked_changes_nothing_and_what_follows_is_no_leap() -> None:
    run = Simulation(policy=policy(), arrivals=even(lambda _: 1_000), is_redis_down=lambda at_s: 120 <= at_s < 240).run(
        290
    )
    assert [change for change in run.changes() if change[0] >= 60] == []
    why = {decision.why for at_s, decision in run.decisions if 120 <= at_s < 240}
    assert why == {"Redis cannot be asked"}


def test_lanes_that_lost_their_data_are_no_reason_for_anything() -> None:
    rules = policy(lanes_count=1)
    state = first_state(rules, wanted_count=1)
    for tick, appended in enumerate([90_000, 90_500, 12, 24]):
        lane = LaneSeen(depth_count=5, appended_count=appended, age_ms=20, is_held=True)
        state, decision = decide(state, Seen(at_s=tick / 2, lanes=[lane], workers_count=1), rules)
        assert decision.action is Action.HOLD
        assert decision.figures is not None
        assert min(decision.figures.arrival_per_s, decision.figures.drain_per_s) >= 0


def test_the_same_observations_give_the_same_decisions() -> None:
    def run() -> list[tuple[float, int]]:
        return Simulation(policy=policy(), arrivals=even(lambda at_s: 20 * at_s)).run(120).changes()

    assert run() == run()
