"""One turn of the autoscaler against a real Redis: what it sees, what it tells, what it leaves behind."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from pathlib import Path

import pytest

from autocom.kernel.clock import SYSTEM_CLOCK, ManualClock
from autocom.local_servers.servers import LocalServers
from ingestion.autoscale.decide import Action, ScalingPolicy
from ingestion.autoscale.observe import observe
from ingestion.autoscale.scaler import Scaler
from ingestion.autoscale.standing import LIFE, Standing, keep_standing, standing_of
from ingestion.buffer import keys
from ingestion.buffer.store import LaneBuffer, redis_client
from tests.support.lanes import LANES, Fields, LaneKit

POLICY = ScalingPolicy(minimum_count=1, maximum_count=3, target_ms=500, lanes_count=LANES)
STANDING = Standing(
    wanted_count=3,
    alive_count=2,
    minimum_count=1,
    maximum_count=4,
    target_ms=1_000,
    is_at_maximum=0,
    why="lag 1200 ms",
    changed_us=1_700_000_000_000_000,
    changed_from_count=2,
    changed_to_count=3,
    changed_why="lag 1200 ms",
)


@dataclass
class Told:
    """Workers that are alive as soon as they are asked for."""

    counts: list[int] = field(default_factory=list)

    def alive_count(self) -> int:
        return self.counts[-1]

    def scale_to(self, count: int) -> None:
        self.counts.append(count)


def new_scaler(buffer: LaneBuffer, *, clock: ManualClock | None = None, is_rehearsal: bool = False) -> Scaler:
    return Scaler(
        buffer=buffer, clock=clock or ManualClock(), policy=POLICY, workers=Told([1]), is_rehearsal=is_rehearsal
    )


def turns(scaler: Scaler, count: int) -> list[Action]:
    found = []
    for _ in range(count):
        assert isinstance(scaler.clock, ManualClock)
        scaler.clock.advance(timedelta(seconds=0.5))
        found.append(scaler.turn().action)
    return found


@pytest.fixture
def late(lanes: LaneKit) -> LaneKit:
    """Two lanes whose entries have waited for ten seconds, and nobody at them."""
    for lane in (0, 1):
        lanes.receive(f"evt-{lane}", lane=lane)
        old_us = lanes.buffer.now_us() - 10_000_000
        lanes.rewrite(lane, partial(_dated, old_us))
    return lanes


def _dated(at_us: int, _: int, fields: Fields) -> Fields:
    return {**fields, b"t": b"%d" % at_us}


def test_it_sees_depth_age_arrivals_holder_and_rest_of_each_lane(late: LaneKit) -> None:
    claim = late.buffer.claim(1, token=b"t@w", fence_floor=0)
    assert claim is not None
    late.receive("evt-2", lane=2)
    resting = late.buffer.claim(2, token=b"u@w", fence_floor=0)
    assert resting is not None
    late.buffer.back_off(resting, rest=timedelta(seconds=9), next_attempt_us=1, error="refused")
    zero, one, two, three = observe(late.buffer, lane_count=LANES, workers_count=1, at_s=0).lanes
    assert (zero.depth_count, zero.appended_count, zero.is_held, zero.is_resting) == (1, 1, False, False)
    assert 10_000 <= zero.age_ms < 15_000
    assert (one.is_held, two.is_held, two.is_resting) == (True, False, True)
    assert (three.depth_count, three.age_ms, three.appended_count) == (0, 0, 0)


def test_an_entry_of_foreign_make_has_no_age(lanes: LaneKit) -> None:
    lanes.buffer.client.xadd("{autocom}:lane:0:stream", {"x": "y"}, id="1-0")
    (seen, *_) = observe(lanes.buffer, lane_count=LANES, workers_count=1, at_s=0).lanes
    assert (seen.depth_count, seen.age_ms < 1_000) == (1, True)


def test_a_change_is_told_logged_and_left_in_redis_with_its_reason(
    late: LaneKit, caplog: pytest.LogCaptureFixture
) -> None:
    scaler = new_scaler(late.buffer)
    scaler.begin()
    with caplog.at_level(logging.INFO):
        actions = turns(scaler, 15)
    assert actions.count(Action.UP) == 2
    assert isinstance(scaler.workers, Told)
    assert scaler.workers.counts[1:] == [1, 2, 3]
    first, second = (record for record in caplog.records if record.getMessage() == "workers_scaled")
    assert [vars(each)["from"] for each in (first, second)] == [1, 2]
    assert vars(first)["to"] == 2
    assert vars(first)["worst_age_ms"] >= 10_000
    assert vars(first)["why"].startswith("lag 10")
    standing = standing_of(late.buffer)
    assert standing is not None
    assert (standing.wanted_count, standing.changed_from_count, standing.changed_to_count) == (3, 2, 3)
    assert standing.changed_us > 0
    assert 0 < late.buffer.client.pttl(keys.AUTOSCALER) <= LIFE.total_seconds() * 1_000


def test_at_maximum_is_warned_of_once_until_it_is_over(late: LaneKit, caplog: pytest.LogCaptureFixture) -> None:
    scaler = new_scaler(late.buffer)
    scaler.begin()
    turns(scaler, 25)
    standing = standing_of(late.buffer)
    assert standing is not None
    assert (standing.is_at_maximum, standing.wanted_count) == (1, 3)
    late.buffer.client.delete(keys.stream(0), keys.stream(1))
    turns(scaler, 4)
    again = standing_of(late.buffer)
    assert again is not None
    assert again.is_at_maximum == 0
    assert [record.levelname for record in caplog.records if record.getMessage() == "workers_at_maximum"] == ["WARNING"]


def test_the_next_autoscaler_begins_with_the_workers_wanted_last_within_its_own_bounds(buffer: LaneBuffer) -> None:
    keep_standing(STANDING, buffer=buffer)
    assert standing_of(buffer) == STANDING
    scaler = new_scaler(buffer)
    scaler.begin()
    assert scaler.state.wanted_count == 3
    buffer.client.delete(keys.AUTOSCALER)
    alone = new_scaler(buffer)
    alone.begin()
    assert alone.state.wanted_count == POLICY.minimum_count


def test_a_standing_of_another_version_counts_as_none(buffer: LaneBuffer) -> None:
    buffer.note_autoscaler({"wanted_count": "3", "why": "x"}, life=LIFE)
    assert standing_of(buffer) is None
    buffer.note_autoscaler({"wanted_count": "three"}, life=LIFE)
    assert standing_of(buffer) is None


def test_a_rehearsal_leaves_nothing_in_redis_and_tells_nobody(late: LaneKit) -> None:
    scaler = new_scaler(late.buffer, is_rehearsal=True)
    assert Action.UP in turns(scaler, 9)
    assert standing_of(late.buffer) is None
    assert scaler.workers.alive_count() == 1


def test_a_redis_that_dies_holds_the_workers_and_a_redis_that_is_back_is_seen_again(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    for parent in list(tmp_path.parents)[:2]:
        parent.chmod(0o755)  # the servers' own user must get through
    servers = LocalServers.start(tmp_path, durable=True, postgres=False)
    try:
        assert servers.valkey is not None
        buffer = LaneBuffer(client=redis_client(f"unix://{servers.valkey.socket_path}?db=0"))
        scaler = new_scaler(buffer)
        scaler.begin()
        assert turns(scaler, 2) == [Action.HOLD] * 2
        servers.stop()
        scaler.clock.advance(timedelta(seconds=0.5))  # type: ignore[attr-defined]
        decision = scaler.turn()
        assert (decision.action, decision.why, decision.figures) == (Action.HOLD, "Redis cannot be asked", None)
        servers = LocalServers.start(tmp_path, durable=True, postgres=False)
        assert scaler.turn().figures is not None
    finally:
        servers.stop()


def test_the_age_is_told_by_the_clock_that_dated_the_entry(lanes: LaneKit) -> None:
    assert abs(lanes.buffer.now_us() - SYSTEM_CLOCK.now_us()) < 5_000_000
    receipt = lanes.receive("evt-1")
    (seen, *_) = observe(lanes.buffer, lane_count=LANES, workers_count=1, at_s=0).lanes
    assert 0 <= seen.age_ms <= (lanes.buffer.now_us() - receipt.accepted_us) / 1_000
