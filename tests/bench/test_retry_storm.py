"""Ten minutes without PostgreSQL: the drain's own rests make no storm, and other ones would."""

from __future__ import annotations

import pytest

from bench.retry_storm import REFUSED_SECONDS, SWALLOWED_SECONDS, Outcome, Scene, back_within_seconds, outcome_of
from ingestion.back_off import BackOff
from ingestion.drain import DrainPolicy

SIZES = [(16, 2), (256, 8)]


def scene(lanes: int, workers: int, *, attempt_seconds: float = REFUSED_SECONDS, is_busy: bool = True) -> Scene:
    return Scene(lanes=lanes, workers=workers, outage_seconds=600, attempt_seconds=attempt_seconds, is_busy=is_busy)


def busiest(outcome: Outcome) -> int:
    return max(outcome.peak_settled, outcome.peak_after)


def test_the_simulated_rests_are_the_drains() -> None:
    assert DrainPolicy().back_off == BackOff()


@pytest.mark.parametrize("seed", range(1, 6))
@pytest.mark.parametrize("is_busy", [True, False])
@pytest.mark.parametrize("attempt_seconds", [REFUSED_SECONDS, SWALLOWED_SECONDS])
@pytest.mark.parametrize(("lanes", "workers"), SIZES)
def test_an_outage_of_ten_minutes_makes_no_storm_and_every_lane_is_back_in_time(
    lanes: int, workers: int, attempt_seconds: float, is_busy: bool, seed: int
) -> None:
    played = scene(lanes, workers, attempt_seconds=attempt_seconds, is_busy=is_busy)
    outcome = outcome_of("full jitter", played, seed=seed)
    assert busiest(outcome) <= outcome.storm_above
    assert outcome.settled_per_second <= outcome.budget_per_second * 1.1
    assert outcome.at_once_at_most <= workers
    assert outcome.back_after_all_seconds <= back_within_seconds(played)


@pytest.mark.parametrize(("lanes", "workers"), SIZES)
@pytest.mark.parametrize("other", ["no jitter", "fixed 500 ms"])
def test_the_same_outage_is_a_storm_without_jitter_and_with_a_fixed_rest(lanes: int, workers: int, other: str) -> None:
    """Else the rule above would find none anywhere."""
    outcome = outcome_of(other, scene(lanes, workers), seed=1)
    assert outcome.is_storm
    assert busiest(outcome) >= lanes, "all lanes within one round of the sweeper"


def test_a_simulation_is_its_seeds() -> None:
    played = scene(16, 2)
    assert outcome_of("full jitter", played, seed=7) == outcome_of("full jitter", played, seed=7)
    assert outcome_of("full jitter", played, seed=7) != outcome_of("full jitter", played, seed=8)


def test_a_limit_doubles_up_to_the_longest_rest_and_stays_a_number_for_days() -> None:
    policy = BackOff()
    assert [policy.limit(failed_before_count=n).total_seconds() for n in (0, 1, 5, 6, 100_000)] == [0.5, 1, 16, 20, 20]
    assert policy.rest(failed_before_count=2, share=0.25) == policy.limit(failed_before_count=2) / 4
