"""A paused lane takes events and commits none: whatever restarts, dies or loses its data; and it goes on in order."""

from __future__ import annotations

import json
import threading
from datetime import UTC, datetime
from typing import Any

import pytest
from django.db import connection, transaction
from django.test import Client

from ingestion import jobs, pauses
from ingestion.autoscale.observe import observe
from ingestion.buffer import keys
from ingestion.commit import settle
from ingestion.metrics import exposition
from ingestion.models import Batch, Event, Lane
from ingestion.pauses import locked_lane, note_pauses, paused_lanes, write_end, write_pause
from ingestion.selectors import STUCK_STATES, lane_state, lane_states
from ingestion.sweep import sweep_lanes
from tests.support.lanes import LANES, LaneKit, assert_every_batch_is_proved, committed
from tests.support.workers import drain_and_die, other_connection, running_worker, wait_for

pytestmark = pytest.mark.django_db(transaction=True)


def pause(lane: int = 0) -> None:
    with transaction.atomic():
        write_pause(locked_lane(lane), by="anna", reason="wrong amounts", now=datetime.now(UTC))


def resume(lane: int = 0) -> None:
    with transaction.atomic():
        write_end(locked_lane(lane))


def note(lanes: LaneKit) -> None:
    note_pauses(lanes.buffer, lane_count=LANES)


def sweep(lanes: LaneKit) -> int:
    return sweep_lanes(lanes.buffer, lane_count=LANES)


# --- nothing is committed, nothing is lost ---


def test_a_paused_lane_takes_events_and_commits_none_and_goes_on_in_order(lanes: LaneKit) -> None:
    lanes.receive("evt-1")
    pause()
    assert lanes.drain().outcome == "paused"
    lanes.receive("evt-2")
    assert (committed(), len(lanes.waiting())) == ([], 2)
    resume()
    lanes.receive("evt-3")
    assert lanes.drain().outcome == "emptied"
    assert committed() == ["evt-1", "evt-2", "evt-3"]
    assert_every_batch_is_proved()


def test_the_other_lanes_are_drained_meanwhile(lanes: LaneKit) -> None:
    lanes.receive("evt-1", lane=0)
    lanes.receive("evt-2", lane=1)
    pause(0)
    lanes.drain(0)
    lanes.drain(1)
    assert (committed(0), committed(1)) == ([], ["evt-2"])


def test_a_pause_between_reading_and_committing_stops_that_very_batch(lanes: LaneKit, monkeypatch: Any) -> None:
    lanes.receive_many(["evt-1", "evt-2"])

    def pause_first(entries: Any, *, context: Any) -> Any:
        with other_connection() as other:  # as the console's process would
            other.execute(
                "INSERT INTO ingestion_lane (number, epoch, cursor, fence, updated_at, paused_at)"
                " VALUES (0, 0, 0, 0, now(), now())"
            )
        return settle(entries, context=context)

    monkeypatch.setattr("ingestion.drain.settle", pause_first)
    assert lanes.drain().outcome == "paused"
    assert (Event.objects.count(), Batch.objects.count(), len(lanes.waiting())) == (0, 0, 2)


def test_a_drain_at_work_stops_within_its_batch_and_leaves_lease_and_entries_whole(lanes: LaneKit) -> None:
    """Between two batches of one turn; what was committed before the pause stays committed, once."""
    lanes.receive_many([f"evt-{n}" for n in range(6)])
    policy = lanes.policy.__class__(gather=lanes.policy.gather, linger=lanes.policy.linger, batch_limit_count=2)
    trimmed = []

    class PausesAfterTheFirst(type(lanes.buffer)):  # type: ignore[misc]
        def trim(self, *args: Any, **kwargs: Any) -> Any:
            left = super().trim(*args, **kwargs)
            trimmed.append(left)
            if len(trimmed) == 1:
                pause()
            return left

    drainer = lanes.drainer(policy=policy)
    paused_midway = drainer.__class__(
        buffer=PausesAfterTheFirst(client=lanes.buffer.client),
        recorder=drainer.recorder,
        clock=drainer.clock,
        worker="w",
        policy=policy,
    )
    report = paused_midway.drain(0, job_id="test")
    assert (report.outcome, report.batch_count) == ("paused", 1)
    assert committed() == ["evt-0", "evt-1"]
    assert not lanes.buffer.peek(0).holder  # the lease is given up, not left to run out
    assert len(lanes.waiting()) == 4
    resume()
    lanes.drain()
    assert committed() == [f"evt-{n}" for n in range(6)]
    assert_every_batch_is_proved()


def test_a_pause_waits_for_the_commit_in_hand_so_that_nothing_is_committed_after_it(lanes: LaneKit) -> None:
    """The two meet at the lane's row: whoever has it first goes first."""
    Lane.objects.create(number=0, epoch=0)
    taken, let_go = threading.Event(), threading.Event()

    def hold() -> None:
        with transaction.atomic():
            locked_lane(0)
            taken.set()
            let_go.wait(20)
        connection.close()

    held = threading.Thread(target=hold)
    held.start()
    assert taken.wait(20)
    done = threading.Event()

    def pause_and_say_so() -> None:
        pause()
        done.set()
        connection.close()

    waiting = threading.Thread(target=pause_and_say_so)
    waiting.start()
    assert not done.wait(0.3)
    let_go.set()
    assert done.wait(20)
    held.join()
    waiting.join()
    assert set(paused_lanes()) == {0}


@pytest.mark.parametrize("point", ["after claim", "after read", "inside the transaction", "after COMMIT"])
def test_a_worker_killed_before_a_pause_leaves_nothing_that_the_pause_would_lose_or_repeat(
    lanes: LaneKit, point: str
) -> None:
    lanes.receive_many(["evt-1", "evt-2"])
    assert drain_and_die(lane=0, point=point, lease_ms=200) == -9
    before = committed()
    pause()
    wait_for(lambda: not lanes.buffer.peek(0).holder, what="the dead one's lease runs out")
    lanes.receive("evt-3")
    assert lanes.drain().outcome == "paused"
    assert committed() == before
    resume()
    lanes.drain()
    assert committed() == ["evt-1", "evt-2", "evt-3"]
    assert_every_batch_is_proved()


def test_a_real_worker_obeys_a_pause_while_it_works_and_goes_on_after_it(lanes: LaneKit) -> None:
    with running_worker():
        lanes.receive("evt-0")
        wait_for(lambda: committed() == ["evt-0"], what="the worker drains")
        pause()
        note(lanes)
        lanes.receive_many([f"evt-{n}" for n in range(1, 5)])
        wait_for(lambda: not lanes.jobs() and not lanes.buffer.peek(0).holder, what="the worker has given up the lane")
        assert committed() == ["evt-0"]
        assert jobs.sweep() == 0
        assert lane_state(lane=0).state == "paused"
        resume()
        note(lanes)
        wait_for(lambda: not lanes.buffer.peek(0).is_due, what="the parked lane may be rung")
        sweep(lanes)
        wait_for(lambda: len(committed()) == 5, what="the worker drains again")
    assert committed() == [f"evt-{n}" for n in range(5)]


# --- it survives ---


def test_a_pause_holds_when_redis_has_lost_all_its_data(lanes: LaneKit) -> None:
    lanes.receive("evt-1")
    pause()
    note(lanes)
    lanes.buffer.client.flushdb()
    lanes.receive("evt-2")
    assert sweep(lanes) == 0 or lanes.drain().outcome == "paused"
    assert lanes.drain().outcome == "paused"
    assert Event.objects.count() == 0
    assert jobs.sweep() == 0
    assert lane_state(lane=0).state == "paused"  # the sweeper has made the note again


def test_without_postgresql_nothing_is_taken_for_unpaused(lanes: LaneKit, monkeypatch: Any) -> None:
    """What a drain cannot ask it does not assume: it rests, as in any trouble of the database."""
    from django.db import OperationalError

    lanes.receive("evt-1")
    pause()

    def down(*_: Any, **__: Any) -> Any:
        raise OperationalError("connection refused")

    with monkeypatch.context() as patch:
        patch.setattr("ingestion.drain.Lane.objects.filter", down)
        assert lanes.drain().outcome == "resting"
    assert Event.objects.count() == 0


def test_a_note_without_a_pause_is_taken_back_by_the_sweeper(lanes: LaneKit) -> None:
    lanes.buffer.note_pause(2, since_us=1)
    jobs.sweep()
    assert lane_state(lane=2).state == "idle"


# --- it costs little and says what it is ---


def test_the_sweeper_does_not_ring_for_a_paused_lane(lanes: LaneKit) -> None:
    lanes.receive("evt-1")
    pause()
    note(lanes)
    lanes.let_lease_expire()
    lanes.buffer.client.delete(keys.rq_queue(keys.DRAIN_QUEUE))
    assert sweep(lanes) == 0
    resume()
    note(lanes)
    assert sweep(lanes) == 1


def test_appends_to_a_parked_lane_do_not_ring_one_by_one(lanes: LaneKit) -> None:
    lanes.receive("evt-1")
    pause()
    lanes.drain()
    lanes.buffer.client.delete(keys.rq_queue(keys.DRAIN_QUEUE))
    lanes.receive_many([f"more-{n}" for n in range(20)])
    assert lanes.jobs() == []


def test_a_paused_lane_is_neither_unattended_nor_stuck_however_old_its_entries(lanes: LaneKit) -> None:
    lanes.receive("evt-1")
    pause()
    note(lanes)
    entry_id, fields = lanes.raw()[0]
    lanes.rewrite(0, lambda _, found: {**found, b"t": b"1000000"})
    assert (entry_id, fields) != lanes.raw()[0]
    found = lane_state(lane=0)
    assert found.state == "paused"
    assert found.state not in STUCK_STATES
    assert found.paused_since is not None
    lanes.buffer.note_pause(0, since_us=None)
    lanes.let_lease_expire()
    assert lane_state(lane=0).state == "unattended"


def test_a_full_lane_says_so_although_it_is_paused(lanes: LaneKit, settings: Any) -> None:
    from dataclasses import replace

    lanes.receive("evt-1")
    pause()
    note(lanes)
    settings.AUTOCOM = replace(settings.AUTOCOM, lane_bound_count=1)
    found = lane_state(lane=0)
    assert found.state == "full"
    assert found.paused_since is not None


def test_the_autoscaler_wants_no_worker_for_a_paused_lane(lanes: LaneKit) -> None:
    lanes.receive("evt-1")
    pause()
    note(lanes)
    seen = observe(lanes.buffer, lane_count=LANES, workers_count=1, at_s=0.0)
    assert [lane.is_resting for lane in seen.lanes] == [True, False, False, False]


def test_readyz_and_metrics_name_the_paused_lane(lanes: LaneKit) -> None:
    assert "paused_lanes" not in json.loads(Client().get("/readyz").content)
    pause(1)
    note(lanes)
    assert json.loads(Client().get("/readyz").content)["paused_lanes"] == [1]
    text = exposition().decode()
    assert 'autocom_lane_paused{lane="1"} 1.0' in text
    assert 'autocom_lane_paused{lane="0"} 0.0' in text


def test_only_the_drainer_that_holds_the_lane_may_park_it(lanes: LaneKit) -> None:
    lanes.receive("evt-1")
    mine = lanes.buffer.claim(0, token=b"mine", fence_floor=0)
    assert mine is not None
    lanes.buffer.client.set(keys.lease(0), b"another's")
    assert not lanes.buffer.park(mine)
    assert lanes.buffer.client.get(keys.lease(0)) == b"another's"


def test_every_lane_has_a_state(lanes: LaneKit) -> None:
    assert [state.state for state in lane_states()] == ["idle"] * LANES
    assert pauses.paused_lanes() == {}
