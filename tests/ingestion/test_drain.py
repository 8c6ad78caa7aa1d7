"""A drain: everything on the lane, in order, once, and the lane given up as it should be."""

from __future__ import annotations

import threading
from datetime import timedelta
from pathlib import Path

import pytest
from django.db import OperationalError, connection, transaction

from ingestion import commit, jobs
from ingestion.buffer import keys
from ingestion.buffer.append import EventToAppend
from ingestion.buffer.store import READ_LIMIT_BYTES, LaneBuffer, LeasePolicy
from ingestion.drain import STOP, DrainPolicy
from ingestion.models import Batch, DeadLetter, Event, Lane, LaneIncident, SuppressedDuplicate
from tests.support.lanes import (
    PROMPT,
    LaneKit,
    assert_every_batch_is_proved,
    committed,
    delivery,
    event,
)

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("_no_redis_in_transactions")]


def ids(count: int, *, first: int = 1) -> list[str]:
    return [f"evt-{number}" for number in range(first, first + count)]


def test_a_lane_is_committed_in_accept_order_in_batches_and_left_idle(lanes: LaneKit) -> None:
    lanes.receive_many(ids(25))
    lanes.policy = DrainPolicy(gather=timedelta(0), linger=timedelta(0), batch_limit_count=10)
    report = lanes.drain()
    assert (report.outcome, report.batch_count, report.settled.stored_count) == ("emptied", 3, 25)
    assert committed() == ids(25)
    assert [(b.first_sequence, b.last_sequence) for b in Batch.objects.order_by("number")] == [
        (1, 10),
        (11, 20),
        (21, 25),
    ]
    assert Lane.objects.get(number=0).cursor == 25
    assert not LaneIncident.objects.exists()
    assert lanes.is_idle()
    assert_every_batch_is_proved()


def test_an_append_after_an_emptied_lane_rings_again(lanes: LaneKit) -> None:
    lanes.receive("evt-1")
    lanes.drain()
    jobs_before = len(lanes.jobs())
    lanes.receive("evt-2")
    assert len(lanes.jobs()) == jobs_before + 1


def test_a_lane_held_by_another_is_left_alone(lanes: LaneKit) -> None:
    lanes.receive("evt-1")
    assert lanes.buffer.claim(0, token=b"another", fence_floor=0)
    assert lanes.drain().outcome == "held_by_another"
    assert committed() == []
    assert len(lanes.waiting()) == 1


def test_a_drain_whose_turn_is_over_hands_the_lane_back_with_a_job(lanes: LaneKit) -> None:
    lanes.receive_many(ids(5))
    lanes.policy = DrainPolicy(gather=timedelta(0), linger=timedelta(0), batch_limit_count=2, budget=timedelta(0))
    jobs_before = lanes.jobs()
    report = lanes.drain()
    assert (report.outcome, committed()) == ("handed_back", ids(2))
    (job,) = lanes.jobs()[len(jobs_before) :]
    assert job.startswith("drain-0-")
    assert not lanes.buffer.peek(0).holder
    while lanes.drain().outcome == "handed_back":
        pass
    assert committed() == ids(5)


def test_a_drain_asked_to_stop_ends_after_the_batch_in_hand(lanes: LaneKit) -> None:
    lanes.receive_many(ids(5))
    lanes.policy = DrainPolicy(batch_limit_count=2, gather=timedelta(0), linger=timedelta(minutes=1))
    STOP.set()
    report = lanes.drain()
    assert (report.outcome, report.batch_count) == ("handed_back", 1)
    assert committed() == ids(2)


def test_duplicates_and_conflicts_are_recorded_beside_the_event_they_repeat(lanes: LaneKit) -> None:
    original = lanes.receive("evt-1")
    lanes.append(delivery(event("evt-1")))
    lanes.append(delivery(event("evt-1", payload=b'{"id":"evt-1","other":true}')))
    report = lanes.drain()
    assert (report.settled.duplicate_count, report.settled.quarantined_count) == (1, 1)
    duplicate = SuppressedDuplicate.objects.get()
    assert (duplicate.original_event_id, duplicate.late) == (original.event_id, False)
    batch = Batch.objects.get()
    assert (batch.event_count, batch.duplicate_count, batch.quarantined_count) == (1, 1, 1)
    (kept,) = batch.quarantined.all()
    assert (bytes(kept.payload_bytes), kept.original_event_id) == (b'{"id":"evt-1","other":true}', original.event_id)
    assert_every_batch_is_proved()


def test_a_batch_repeated_after_a_crash_counts_only_what_is_new(
    lanes: LaneKit, monkeypatch: pytest.MonkeyPatch
) -> None:
    lanes.receive("evt-1")
    lanes.append(delivery(event("evt-1")))
    lanes.append(delivery(event("evt-1", payload=b'{"other":1}')))
    lanes.receive("evt-bad", payload=b'{"a":"\\u0000"}')
    monkeypatch.setattr(LaneBuffer, "trim", lambda *_, **__: None)  # the process dies between COMMIT and trim
    assert lanes.drain().outcome == "lease_lost"
    monkeypatch.undo()
    lanes.let_lease_expire()
    lanes.receive("evt-2")
    settled = lanes.drain().settled
    assert (settled.stored_count, settled.duplicate_count, settled.quarantined_count, settled.dead_count) == (
        1,
        0,
        0,
        0,
    )
    assert settled.repeated_count == 4
    first, second = Batch.objects.order_by("number")
    assert (first.event_count, first.duplicate_count, first.quarantined_count, first.dead_count) == (1, 1, 1, 1)
    assert (second.event_count, second.duplicate_count, second.quarantined_count, second.dead_count) == (1, 0, 0, 0)
    assert committed() == ["evt-1", "evt-2"]
    assert (SuppressedDuplicate.objects.count(), DeadLetter.objects.count()) == (1, 1)
    assert not LaneIncident.objects.exists()
    assert lanes.is_idle()
    assert_every_batch_is_proved()


def test_a_batch_repeated_whole_writes_no_second_batch(lanes: LaneKit, monkeypatch: pytest.MonkeyPatch) -> None:
    lanes.receive_many(ids(3))
    monkeypatch.setattr(LaneBuffer, "trim", lambda *_, **__: None)
    lanes.drain()
    monkeypatch.undo()
    lanes.let_lease_expire()
    report = lanes.drain()
    assert (report.settled.stored_count, report.settled.repeated_count, report.settled.batch_numbers) == (0, 3, [])
    assert Batch.objects.count() == 1
    assert lanes.is_idle()


def test_an_event_older_than_the_dedupe_window_is_a_late_duplicate(lanes: LaneKit) -> None:
    original = lanes.receive("evt-1")
    lanes.drain()
    lanes.buffer.client.delete(*lanes.buffer.client.keys(keys.TAG + b"seen:*"))
    lanes.receive("evt-1")
    settled = lanes.drain().settled
    assert (settled.stored_count, settled.duplicate_count) == (0, 1)
    late = SuppressedDuplicate.objects.get()
    assert (late.original_event_id, late.late) == (original.event_id, True)
    assert committed() == ["evt-1"]
    assert_every_batch_is_proved()


def test_another_content_after_the_dedupe_window_is_quarantined(lanes: LaneKit) -> None:
    original = lanes.receive("evt-1")
    lanes.drain()
    lanes.buffer.client.delete(*lanes.buffer.client.keys(keys.TAG + b"seen:*"))
    lanes.receive("evt-1", payload=b'{"other":true}')
    assert lanes.drain().settled.quarantined_count == 1
    (kept,) = Batch.objects.latest("number").quarantined.all()
    assert kept.original_event_id == original.event_id
    assert bytes(kept.payload_bytes) == b'{"other":true}'
    assert Event.objects.get().payload == {"id": "evt-1"}


def test_one_event_twice_in_a_batch_after_redis_forgot_it_is_stored_once(lanes: LaneKit) -> None:
    for _ in range(3):
        lanes.receive("evt-1")
        lanes.buffer.client.delete(*lanes.buffer.client.keys(keys.TAG + b"seen:*"))
    lanes.receive("evt-2")
    settled = lanes.drain().settled
    assert (settled.stored_count, settled.duplicate_count) == (2, 2)
    assert committed() == ["evt-1", "evt-2"]
    assert_every_batch_is_proved()


def test_a_missing_sequence_is_found_and_written_down_and_the_rest_commits(lanes: LaneKit) -> None:
    lanes.receive_many(ids(6))
    lanes.buffer.client.xdel(keys.stream(0), "3-0", "4-0", "6-0")
    lanes.receive("evt-7")
    lanes.drain()
    gaps = LaneIncident.objects.order_by("first_sequence").values_list("kind", "first_sequence", "last_sequence")
    assert list(gaps) == [("gap", 3, 4), ("gap", 6, 6)]
    assert committed() == ["evt-1", "evt-2", "evt-5", "evt-7"]
    assert Lane.objects.get(number=0).cursor == 7


def test_a_redis_that_lost_its_data_starts_an_epoch_and_loses_nothing_that_came_after(lanes: LaneKit) -> None:
    lanes.receive_many(ids(3))
    lanes.drain()
    old = Lane.objects.get(number=0)
    lanes.buffer.client.flushdb()
    receipts = lanes.receive_many(ids(2, first=4))
    assert [receipt.sequence for receipt in receipts] == [1, 2]
    lanes.drain()
    row = Lane.objects.get(number=0)
    assert row.epoch == receipts[0].epoch > old.epoch
    assert row.cursor == 2
    assert committed() == ids(5)
    (incident,) = LaneIncident.objects.all()
    assert (incident.kind, incident.first_sequence) == ("new_epoch", 3)
    assert_every_batch_is_proved()


def test_a_lane_emptied_by_a_lost_redis_under_a_lingering_drain_is_stored_under_its_new_epoch(lanes: LaneKit) -> None:
    lanes.receive("evt-1")
    lanes.buffer.client.delete(
        keys.rq_queue(keys.DRAIN_QUEUE)
    )  # a worker took the job; with one waiting nobody lingers
    lanes.policy = DrainPolicy(gather=timedelta(milliseconds=20), linger=timedelta(seconds=20))
    drain = threading.Thread(target=run_and_close, args=(lanes,))
    drain.start()
    wait_for(lambda: committed() == ["evt-1"])
    lanes.buffer.client.flushdb()
    receipt = lanes.receive("evt-2")
    drain.join(timeout=10)
    assert not drain.is_alive()
    lanes.policy = PROMPT
    lanes.drain()
    row = Event.objects.get(message_id="evt-2")
    assert (row.epoch, row.sequence) == (receipt.epoch, receipt.sequence)


def test_a_drain_that_outlived_its_redis_data_keeps_its_events_and_leaves_the_new_epochs_cursor(
    lanes: LaneKit, monkeypatch: pytest.MonkeyPatch
) -> None:
    lanes.receive_many(ids(2))
    settle = commit.settle
    paused = lanes.drainer(worker="paused")

    def pause(*args: object, **options: object) -> object:
        monkeypatch.setattr("ingestion.drain.settle", settle)
        lanes.buffer.client.flushdb()
        lanes.receive_many(ids(3, first=3))
        lanes.drain()
        return settle(*args, **options)  # type: ignore[arg-type]

    monkeypatch.setattr("ingestion.drain.settle", pause)
    paused.drain(0, job_id="paused")
    row = Lane.objects.get(number=0)
    assert row.cursor == 3
    lanes.receive("evt-6")
    lanes.drain()
    assert sorted(committed()) == ids(6)
    assert Lane.objects.get(number=0).cursor == 4
    assert not LaneIncident.objects.filter(kind="gap").exists()
    assert_every_batch_is_proved()


def test_a_failover_to_an_older_copy_of_redis_loses_and_doubles_nothing(lanes: LaneKit) -> None:
    lanes.receive_many(ids(5))
    lanes.drain()
    client = lanes.buffer.client
    # the copy knows the lane up to sequence 2, with 2 still waiting, and nothing of what came later
    forgotten = [delivery(event(name)).events[0] for name in ids(3, first=3)]
    client.delete(keys.stream(0), keys.lease(0), keys.wake(0), *(keys.seen(each.identity) for each in forgotten))
    client.hset(keys.state(0), mapping={"sequence": 2, "fence": 1})
    receipts = lanes.receive_many(["evt-6", "evt-4", "evt-7", "evt-8"])
    assert [receipt.sequence for receipt in receipts] == [3, 4, 5, 6]
    settled = lanes.drain().settled
    assert (settled.stored_count, settled.duplicate_count) == (3, 1)
    assert sorted(committed()) == sorted([*ids(5), "evt-6", "evt-7", "evt-8"])
    row = Lane.objects.get(number=0)
    assert (row.cursor, row.fence > 1) == (6, True)
    (incident,) = LaneIncident.objects.all()
    assert (incident.kind, incident.first_sequence, incident.last_sequence) == ("reused", 3, 5)
    assert lanes.is_idle()
    assert_every_batch_is_proved()


def test_a_paused_drainer_is_refused_once_a_newer_one_has_committed(
    lanes: LaneKit, monkeypatch: pytest.MonkeyPatch
) -> None:
    lanes.receive_many(ids(3))
    settle = commit.settle
    paused = lanes.drainer(worker="paused")

    def pause(*args: object, **options: object) -> object:
        """Between read and commit: its lease runs out, another drains the lane, new events come."""
        monkeypatch.setattr("ingestion.drain.settle", settle)
        lanes.let_lease_expire()
        assert lanes.drain().outcome == "emptied"
        lanes.receive("evt-4")
        return settle(*args, **options)  # type: ignore[arg-type]

    monkeypatch.setattr("ingestion.drain.settle", pause)
    report = paused.drain(0, job_id="paused")
    assert report.outcome == "stale_fence"
    assert report.settled.stored_count == 0
    assert committed() == ids(3)
    assert [entry.sequence for entry in lanes.waiting()] == [4]
    assert Batch.objects.get().worker == "test"
    lanes.drain()
    assert committed() == ids(4)


def test_a_paused_drainer_does_not_trim_what_another_now_holds(lanes: LaneKit, monkeypatch: pytest.MonkeyPatch) -> None:
    lanes.receive_many(ids(2))
    trim = LaneBuffer.trim

    def pause(self: LaneBuffer, *args: object, **options: object) -> object:
        """Between COMMIT and trim: its lease is another's now."""
        monkeypatch.setattr(LaneBuffer, "trim", trim)
        lanes.let_lease_expire()
        assert lanes.buffer.claim(0, token=b"another", fence_floor=0)
        return trim(self, *args, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(LaneBuffer, "trim", pause)
    assert lanes.drain().outcome == "lease_lost"
    assert [entry.sequence for entry in lanes.waiting()] == [1, 2]
    lanes.let_lease_expire()
    lanes.drain()
    assert committed() == ids(2)
    assert lanes.is_idle()


def test_database_trouble_makes_the_lane_rest_with_growing_jittered_breaks_and_buries_nothing(
    lanes: LaneKit, monkeypatch: pytest.MonkeyPatch
) -> None:
    lanes.receive_many(ids(2))
    rests: list[timedelta] = []
    began_us: set[int] = set()
    back_off = LaneBuffer.back_off

    def noting(self: LaneBuffer, *args: object, rest: timedelta, **options: object) -> object:
        rests.append(rest)
        return back_off(self, *args, rest=rest, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(LaneBuffer, "back_off", noting)
    monkeypatch.setattr("ingestion.commit._commit", refuse)
    for attempt in range(1, 8):
        assert lanes.drain().outcome == "resting"
        peek = lanes.buffer.peek(0)
        assert (peek.attempt, peek.holder, peek.is_due, peek.depth_count) == (attempt, "", True, 2)
        assert "the server is gone" in peek.error
        assert peek.retry_at_us is not None
        assert peek.resting_since_us is not None
        began_us.add(peek.resting_since_us)
        lanes.let_lease_expire()
    limits = [timedelta(seconds=seconds) for seconds in (0.5, 1, 2, 4, 8, 16, 20)]
    assert all(timedelta(0) <= rest <= limit for rest, limit in zip(rests, limits, strict=True))
    assert len(set(rests)) == len(rests)
    assert len(began_us) == 1, "it rests since the first of these attempts"
    monkeypatch.undo()
    assert lanes.drain().outcome == "emptied"
    assert (committed(), DeadLetter.objects.count()) == (ids(2), 0)
    peek = lanes.buffer.peek(0)
    assert (peek.attempt, peek.retry_at_us, peek.resting_since_us, peek.error) == (0, None, None, "")


def test_a_lane_that_failed_again_after_success_starts_with_the_shortest_rest(
    lanes: LaneKit, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, attempts in (("evt-1", 3), ("evt-2", 1)):
        lanes.receive(name)
        with monkeypatch.context() as patched:
            patched.setattr("ingestion.commit._commit", refuse)
            for _ in range(attempts):
                lanes.let_lease_expire()
                lanes.drain()
        assert lanes.buffer.peek(0).attempt == attempts
        lanes.let_lease_expire()
        lanes.drain()
    assert committed() == ids(2)


def test_an_attempt_that_outlived_its_lease_rests_and_is_counted(
    lanes: LaneKit, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As with a server that swallows packets: each attempt takes longer than the lease."""
    lanes.receive("evt-1")

    def slow(*_: object, **__: object) -> None:
        lanes.let_lease_expire()
        refuse()

    monkeypatch.setattr("ingestion.commit._commit", slow)
    for attempt in (1, 2):
        assert lanes.drain().outcome == "resting"
        peek = lanes.buffer.peek(0)
        assert (peek.attempt, peek.is_due) == (attempt, True)


def test_a_failed_attempt_does_not_send_a_lane_to_rest_that_another_has_claimed(
    lanes: LaneKit, monkeypatch: pytest.MonkeyPatch
) -> None:
    lanes.receive("evt-1")

    def overtaken(*_: object, **__: object) -> None:
        lanes.let_lease_expire()
        assert lanes.buffer.claim(0, token=b"another", fence_floor=0)
        refuse()

    monkeypatch.setattr("ingestion.commit._commit", overtaken)
    assert lanes.drain().outcome == "lease_lost"
    peek = lanes.buffer.peek(0)
    assert (peek.attempt, peek.holder) == (0, "another")


def test_a_resting_lane_takes_events_and_no_other_lane_waits_for_it(
    lanes: LaneKit, monkeypatch: pytest.MonkeyPatch
) -> None:
    lanes.receive("evt-1")
    with monkeypatch.context() as patched:
        patched.setattr("ingestion.commit._commit", refuse)
        assert lanes.drain().outcome == "resting"
    lanes.receive("evt-2")
    lanes.receive("evt-3", lane=1)
    assert lanes.drain(1).outcome == "emptied"
    assert (committed(1), committed(0)) == (["evt-3"], [])
    # whoever was at work is gone; the rest is Redis's, and another worker takes over when it is done
    lanes.let_lease_expire()
    assert lanes.drainer(worker="another").drain(0, job_id="later").outcome == "emptied"
    assert committed(0) == ids(2)


def refuse(*_: object, **__: object) -> None:
    raise OperationalError("the server is gone")


def test_a_backend_killed_inside_the_transaction_leaves_nothing_and_the_next_job_commits(
    lanes: LaneKit, monkeypatch: pytest.MonkeyPatch
) -> None:
    lanes.receive_many(ids(2))
    leaf_hashes = commit._leaf_hashes

    def killing(*args: object) -> object:
        monkeypatch.setattr(commit, "_leaf_hashes", leaf_hashes)
        kill_own_backend()
        return leaf_hashes(*args)  # type: ignore[arg-type]

    monkeypatch.setattr(commit, "_leaf_hashes", killing)
    assert jobs.drain(0)["outcome"] == "resting"
    lanes.let_lease_expire()
    assert jobs.drain(0)["outcome"] in ("emptied", "handed_back")
    assert committed() == ids(2)
    assert not DeadLetter.objects.exists()


def test_a_database_that_refuses_connections_makes_the_lane_rest_and_the_next_job_commits(
    lanes: LaneKit, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    lanes.receive("evt-1")
    connection.close()
    with monkeypatch.context() as patched:
        patched.setitem(connection.settings_dict, "HOST", str(tmp_path))
        assert jobs.drain(0)["outcome"] == "resting"
        connection.close()
    assert lanes.buffer.peek(0).attempt == 1
    lanes.let_lease_expire()
    assert jobs.drain(0)["outcome"] in ("emptied", "handed_back")
    assert committed() == ["evt-1"]
    assert not DeadLetter.objects.exists()


def test_a_backend_killed_between_jobs_costs_the_next_job_nothing(lanes: LaneKit) -> None:
    connection.ensure_connection()
    kill_own_backend()
    lanes.receive("evt-1")
    assert jobs.drain(0)["outcome"] == "emptied"
    assert committed() == ["evt-1"]


def kill_own_backend() -> None:
    """Another connection ends this one's backend."""
    import psycopg

    options = {**connection.get_connection_params()}
    options.pop("cursor_factory", None)
    options.pop("context", None)
    assert connection.connection is not None
    pid = connection.connection.info.backend_pid
    with psycopg.connect(
        host=options["host"], user=options["user"], dbname=options["dbname"], autocommit=True
    ) as other:
        other.execute("SELECT pg_terminate_backend(%s, 5000)", [pid])


def test_the_batch_transaction_is_refused_inside_another(lanes: LaneKit) -> None:
    """Else an outer rollback could undo what was trimmed from Redis already."""
    lanes.receive("evt-1")
    entries, context = lanes.waiting(), batch_context(lanes)
    with transaction.atomic(), pytest.raises(RuntimeError, match="durable"):
        commit.settle(entries, context=context)
    assert committed() == []


def batch_context(lanes: LaneKit) -> commit.BatchContext:
    from autocom.kernel.clock import SYSTEM_CLOCK
    from ingestion.accept import promise_keys

    claim = lanes.buffer.claim(0, token=b"test", fence_floor=0)
    assert claim is not None
    return commit.BatchContext(
        claim=claim, worker="test", claimed_us=SYSTEM_CLOCK.now_us(), hop_key=promise_keys().hop, clock=SYSTEM_CLOCK
    )


def test_two_lanes_that_store_one_identity_at_once_store_it_once(lanes: LaneKit) -> None:
    """The dedupe key is gone and the key that decides the lane differs: only PostgreSQL can tell."""
    pairs = 6
    for number in range(pairs):
        for lane in (0, 1):
            identified = delivery(event(f"evt-{number}", lane=lane))
            lanes.append(identified)
            forget(lanes, *identified.events)
    threads = [threading.Thread(target=run_and_close, args=(lanes, lane)) for lane in (0, 1)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=20)
    for lane in (0, 1):  # whoever lost a race rests or lost its lease; the next drain finishes
        lanes.let_lease_expire(lane)
        lanes.drain(lane)
    assert Event.objects.count() == pairs
    assert SuppressedDuplicate.objects.filter(late=True).count() == pairs
    assert all(lanes.is_idle(lane) for lane in (0, 1))
    assert_every_batch_is_proved()


def forget(lanes: LaneKit, *events: EventToAppend) -> None:
    lanes.buffer.client.delete(*(keys.seen(each.identity) for each in events))


def run_and_close(lanes: LaneKit, lane: int = 0) -> None:
    try:
        lanes.drain(lane)
    finally:
        connection.close()


def wait_for(condition: object, *, seconds: float = 15) -> None:
    import time

    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if condition():  # type: ignore[operator]
            return
        time.sleep(0.01)
    pytest.fail(f"not within {seconds} s")


def test_a_lane_with_very_large_entries_is_read_in_batches_of_a_few_megabytes(
    lanes: LaneKit, monkeypatch: pytest.MonkeyPatch
) -> None:
    big = b'{"fill":"%s"}' % (b"x" * 1_000_000)
    lanes.receive_many(ids(50))
    for number in range(51, 81):
        lanes.receive(f"evt-{number}", payload=big)
    read = LaneBuffer.read_claimed
    sizes: list[int] = []

    def noting(self: LaneBuffer, *args: object, **options: object) -> object:
        entries = read(self, *args, **options)  # type: ignore[arg-type]
        assert entries is not None
        sizes.append(sum(entry.size_bytes for entry in entries))
        return entries

    monkeypatch.setattr(LaneBuffer, "read_claimed", noting)
    while lanes.drain().outcome == "handed_back":
        pass
    assert max(sizes) <= READ_LIMIT_BYTES
    assert len(sizes) > 4
    assert committed() == ids(80)
    assert not LaneIncident.objects.exists()


def test_a_lease_is_short_and_a_wake_is_longer() -> None:
    """While a drainer lives its lane must not be rung: the wake flag may not end first."""
    policy = LeasePolicy()
    assert policy.lease < policy.wake
