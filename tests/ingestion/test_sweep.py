"""The sweeper: lanes with entries and nobody at work are rung, and no others."""

from __future__ import annotations

from datetime import timedelta

import pytest

from ingestion import jobs
from ingestion.buffer import keys
from ingestion.buffer.store import LaneBuffer, LeasePolicy
from ingestion.sweep import sweep_lanes
from tests.support.lanes import LANES, LaneKit, committed
from tests.support.workers import wait_for

SHORT = LeasePolicy(lease=timedelta(milliseconds=200), wake=timedelta(milliseconds=300))


def sweep(lanes: LaneKit) -> int:
    return sweep_lanes(lanes.buffer, lane_count=LANES)


def lose_the_jobs(lanes: LaneKit) -> None:
    lanes.buffer.client.delete(keys.rq_queue(keys.DRAIN_QUEUE))


def test_a_lost_job_is_replaced_once_its_wake_has_run_out_and_not_before(lanes: LaneKit) -> None:
    lanes.receive("evt-1")
    lose_the_jobs(lanes)
    assert sweep(lanes) == 0
    left_ms = lanes.buffer.client.pttl(keys.wake(0))
    assert 0 < left_ms <= 6_000
    lanes.buffer.client.pexpire(keys.wake(0), 50)
    wait_for(lambda: sweep(lanes) == 1, what="the lane is rung")
    assert len(lanes.jobs()) == 1
    assert sweep(lanes) == 0


def test_a_lost_wake_is_replaced(lanes: LaneKit) -> None:
    lanes.receive("evt-1")
    lanes.buffer.client.delete(keys.wake(0))
    assert sweep(lanes) == 1


@pytest.mark.django_db(transaction=True)
def test_the_job_of_the_sweeper_drains_the_lane(lanes: LaneKit) -> None:
    lanes.receive("evt-1")
    lose_the_jobs(lanes)
    lanes.let_lease_expire()
    assert jobs.sweep() == 1
    assert jobs.drain(0)["events"] == 1
    assert committed() == ["evt-1"]


def test_only_lanes_with_entries_are_rung(lanes: LaneKit) -> None:
    for lane in (1, 3):
        lanes.receive("evt-1", lane=lane) if lane == 1 else lanes.receive("evt-2", lane=lane)
        lanes.let_lease_expire(lane)
    lose_the_jobs(lanes)
    assert sweep(lanes) == 2
    assert [job.split("-")[1] for job in lanes.jobs()] == ["1", "3"]


def test_a_lane_at_work_is_not_rung_even_where_its_wake_is_lost(lanes: LaneKit) -> None:
    lanes.receive("evt-1")
    assert lanes.buffer.claim(0, token=b"at work", fence_floor=0)
    lanes.buffer.client.delete(keys.wake(0))
    assert sweep(lanes) == 0


def test_a_lane_whose_drainer_vanished_is_rung_when_lease_and_wake_have_run_out(lanes: LaneKit) -> None:
    lanes.receive("evt-1")
    lose_the_jobs(lanes)
    buffer = LaneBuffer(client=lanes.buffer.client, policy=SHORT)
    assert buffer.claim(0, token=b"gone", fence_floor=0)
    assert sweep(lanes) == 0
    wait_for(lambda: sweep(lanes) == 1, what="the lane is rung")
    assert not lanes.buffer.peek(0).holder


def test_a_resting_lane_is_rung_when_its_rest_is_over_and_not_before(lanes: LaneKit) -> None:
    lanes.receive("evt-1")
    lose_the_jobs(lanes)
    claim = lanes.buffer.claim(0, token=b"tired", fence_floor=0)
    assert claim is not None
    lanes.buffer.back_off(claim, rest=timedelta(milliseconds=600), next_attempt_us=1, error="no database")
    assert sweep(lanes) == 0
    lanes.receive("evt-2")
    assert lanes.jobs() == []  # an append does not cut the rest short either
    wait_for(lambda: sweep(lanes) == 1, what="the lane is rung")


def test_an_append_after_the_rest_rings_without_a_sweep(lanes: LaneKit) -> None:
    lanes.receive("evt-1")
    lose_the_jobs(lanes)
    claim = lanes.buffer.claim(0, token=b"tired", fence_floor=0)
    assert claim is not None
    lanes.buffer.back_off(claim, rest=timedelta(milliseconds=50), next_attempt_us=1, error="no database")
    wait_for(lambda: not lanes.buffer.peek(0).is_due, what="the rest is over")
    lanes.receive("evt-2")
    assert len(lanes.jobs()) == 1


def test_a_trim_keeps_lease_and_wake_alive(lanes: LaneKit) -> None:
    """Else a drain longer than its lease would lose the lane between two batches."""
    lanes.receive("evt-1")
    lanes.receive("evt-2")
    claim = lanes.buffer.claim(0, token=b"busy", fence_floor=0)
    assert claim is not None
    lanes.buffer.client.pexpire(keys.lease(0), 1_000)
    lanes.buffer.client.pexpire(keys.wake(0), 1_000)
    assert lanes.buffer.trim(claim, through_sequence=1, freed_bytes=1) == 1
    assert lanes.buffer.client.pttl(keys.lease(0)) > 2_000
    assert lanes.buffer.client.pttl(keys.wake(0)) > 2_000
