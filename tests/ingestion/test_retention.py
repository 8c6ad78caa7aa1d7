"""What ages out, what never does, and what is still known and proved afterwards."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from uuid import UUID

import pytest
from django.db import connection, transaction

from autocom.kernel.clock import datetime_of
from autocom.kernel.ids import request_id_of
from autocom.kernel.merkle import inclusion_path, leaf_hash, root_of_path
from ingestion.buffer import keys
from ingestion.leaves import leaf_hashes
from ingestion.models import (
    AgedEvent,
    Batch,
    BatchLeaves,
    DeadLetter,
    Delivery,
    Event,
    LaneIncident,
    QuarantinedEvent,
    SetAsideAttempt,
    SetAsideState,
    SuppressedDuplicate,
)
from ingestion.pacing import Pace
from ingestion.retention import bounds as retention_bounds
from ingestion.retention.bodies import Payloads
from ingestion.retention.bounds import Bounds, age_only_what_is_sealed, bounds_now
from ingestion.retention.events import Events
from ingestion.retention.run import age_out, due
from tests.support.ageing import AT_ONCE, POLICY, age, in_days
from tests.support.lanes import (
    LANES,
    LaneKit,
    assert_every_batch_is_proved,
    committed,
    delivery,
    event,
    leaf_of_row,
)
from tests.support.redrives import dead, retry
from tests.support.workers import wait_for

pytestmark = pytest.mark.django_db(transaction=True)
POISON = b'{"a":"\\u0000"}'


def forget_in_redis(lanes: LaneKit) -> None:
    """As after Redis's window."""
    lanes.buffer.client.delete(*lanes.buffer.client.keys(keys.TAG + b"seen:*"))


def settle_letters(state: SetAsideState = SetAsideState.DISCARDED) -> None:
    DeadLetter.objects.update(state=state)


def test_bodies_go_first_events_later_and_neither_before_its_time(lanes: LaneKit) -> None:
    lanes.receive_many(["evt-1", "evt-2"])
    lanes.drain()
    assert age(days=29).removed == {}
    assert age(days=31).removed == {"payloads": 2, "deliveries": 2}
    assert list(Event.objects.values_list("payload", flat=True)) == [None, None]
    assert not Delivery.objects.exists()
    assert_every_batch_is_proved()
    assert age(days=89).removed == {}
    assert age(days=91).removed == {"events": 2}
    assert not Event.objects.exists()
    assert AgedEvent.objects.count() == 2
    assert age(days=92).removed == {}


def test_zero_days_keep_for_ever(lanes: LaneKit) -> None:
    lanes.receive("evt-1")
    lanes.drain()
    for_ever = replace(POLICY, body_days=0, event_days=0)
    assert age(days=30_000, policy=for_ever).removed == {}
    assert Event.objects.get().payload == {"id": "evt-1"}


def test_a_late_duplicate_of_an_aged_event_is_a_duplicate_of_the_original(lanes: LaneKit) -> None:
    original = lanes.receive("evt-1")
    lanes.drain()
    age(days=91)
    forget_in_redis(lanes)
    lanes.receive("evt-1")
    settled = lanes.drain().settled
    assert (settled.stored_count, settled.duplicate_count) == (0, 1)
    late = SuppressedDuplicate.objects.get()
    assert (late.original_event_id, late.late) == (original.event_id, True)
    assert not Event.objects.exists()


def test_another_content_of_an_aged_identity_is_quarantined_with_the_originals_id(lanes: LaneKit) -> None:
    original = lanes.receive("evt-1")
    lanes.drain()
    content = bytes(Event.objects.get().content_sha256)
    age(days=91)
    forget_in_redis(lanes)
    lanes.receive("evt-1", payload=b'{"other":true}')
    assert lanes.drain().settled.quarantined_count == 1
    kept = QuarantinedEvent.objects.get()
    assert (kept.original_event_id, bytes(kept.original_content_sha256 or b"")) == (original.event_id, content)


def test_a_repeat_of_an_aged_event_itself_leaves_no_trace(lanes: LaneKit, monkeypatch: pytest.MonkeyPatch) -> None:
    lanes.receive("evt-1")
    monkeypatch.setattr(type(lanes.buffer), "trim", lambda *_, **__: None)  # dies between COMMIT and trim
    lanes.drain()
    monkeypatch.undo()
    lanes.let_lease_expire()
    age(days=91)
    settled = lanes.drain().settled
    assert (settled.stored_count, settled.duplicate_count, settled.repeated_count) == (0, 0, 1)
    assert not Event.objects.exists()
    assert not SuppressedDuplicate.objects.exists()


def test_neighbours_of_a_late_duplicate_commit(lanes: LaneKit) -> None:
    lanes.receive("evt-1")
    lanes.drain()
    age(days=91)
    forget_in_redis(lanes)
    lanes.receive_many(["evt-0", "evt-1", "evt-2"])
    settled = lanes.drain().settled
    assert (settled.stored_count, settled.duplicate_count) == (2, 1)
    assert committed() == ["evt-0", "evt-2"]


def test_every_root_and_every_inclusion_can_be_computed_after_ageing(lanes: LaneKit) -> None:
    for number in range(7):
        lanes.receive(f"evt-{number}", payload=POISON if number in (2, 5) else None)
    lanes.drain()
    batch = Batch.objects.get()
    rows: list[Event | DeadLetter] = [*Event.objects.all(), *DeadLetter.objects.all()]
    leaves = {row.pk: leaf_hash(leaf_of_row(row)) for row in rows}
    settle_letters()
    age(days=91)
    assert not Event.objects.exists()
    assert not DeadLetter.objects.exists()
    batch.refresh_from_db()
    hashes = leaf_hashes(batch)
    assert sorted(hashes) == sorted(leaves.values())
    for aged in AgedEvent.objects.all():
        path = inclusion_path(hashes, position=aged.position)
        leaf = leaves[aged.event_id]
        assert root_of_path(leaf, path, position=aged.position, leaf_count=7) == bytes(batch.merkle_root)


def test_a_batch_whose_letters_aged_before_its_events_proves_itself(lanes: LaneKit) -> None:
    lanes.receive("evt-1")
    lanes.receive("evt-bad", payload=POISON)
    lanes.drain()
    settle_letters()
    assert age(days=31).removed["settled dead letters"] == 1
    assert BatchLeaves.objects.count() == 1
    assert age(days=91).removed == {"events": 1}
    assert len(leaf_hashes(Batch.objects.get())) == 2


@pytest.mark.parametrize("change", [{"message_id": "evt-9"}, {"sequence": 9}, {"content_sha256": b"\x00" * 32}])
def test_a_batch_that_does_not_prove_itself_keeps_its_rows_and_holds_up_no_other(
    lanes: LaneKit, change: dict[str, object]
) -> None:
    lanes.receive("evt-1")
    lanes.drain()
    lanes.receive("evt-2")
    lanes.drain()
    Event.objects.filter(message_id="evt-1").update(**change)
    report = age(days=91)
    assert report.not_proved == [Batch.objects.earliest("number").number]
    assert report.removed["events"] == 1
    assert Event.objects.count() == 1
    assert AgedEvent.objects.count() == 1


def test_an_open_dead_letter_keeps_itself_and_its_delivery(lanes: LaneKit) -> None:
    lanes.receive("evt-bad", payload=POISON)
    lanes.drain()
    assert age(days=1_000).removed == {}
    letter = DeadLetter.objects.get()
    assert bytes(letter.payload_bytes) == POISON
    assert Delivery.objects.filter(pk=request_id_of(letter.pk)).exists()
    settle_letters(SetAsideState.RETRIED)
    assert age(days=1_001).removed == {"deliveries": 1, "settled dead letters": 1}


def test_a_quarantined_event_keeps_itself_and_its_delivery(lanes: LaneKit) -> None:
    lanes.receive("evt-1")
    lanes.append(delivery(event("evt-1", payload=b'{"other":1}')))
    lanes.drain()
    age(days=91)
    kept = QuarantinedEvent.objects.get()
    assert bytes(kept.payload_bytes) == b'{"other":1}'
    assert [row.pk for row in Delivery.objects.all()] == [request_id_of(kept.pk)]


def test_a_delivery_waits_for_the_payloads_of_all_its_events(lanes: LaneKit) -> None:
    lanes.append(delivery(event("evt-a", lane=0), event("evt-b", lane=1), body=b"[both]"))
    lanes.drain(0)
    lanes.drain(1)
    later = Batch.objects.latest("number")
    report = age(days=31, bounds=Bounds(sealed_through=later.number - 1))
    assert report.removed == {"payloads": 1}
    assert bytes(Delivery.objects.get().body) == b"[both]"
    assert age(days=31).removed == {"payloads": 1, "deliveries": 1}


def test_the_delivery_of_nothing_but_duplicates_goes_too(lanes: LaneKit) -> None:
    lanes.receive("evt-1")
    lanes.append(delivery(event("evt-1")))
    lanes.drain()
    assert Delivery.objects.count() == 2
    age(days=31)
    assert not Delivery.objects.exists()
    assert age(days=91).removed == {"events": 1, "duplicates": 1}


def test_nothing_above_the_sealed_batches_ages(lanes: LaneKit) -> None:
    for number in range(3):
        lanes.receive(f"evt-{number}")
        lanes.drain()
    first = Batch.objects.earliest("number")
    removed = age(days=91, bounds=Bounds(sealed_through=first.number)).removed
    assert removed == {"payloads": 1, "deliveries": 1, "events": 1}
    assert committed() == ["evt-1", "evt-2"]


@pytest.fixture(autouse=True)
def _no_seals() -> Iterator[None]:
    """As if no app sealed: age alone decides."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(retention_bounds, "_sealed_through", [])
        yield


@pytest.mark.parametrize(("sealed", "bound"), [(None, 0), (7, 7)])
def test_the_app_that_seals_sets_the_bound_and_nothing_sealed_means_nothing_ages(
    lanes: LaneKit, sealed: int | None, bound: int
) -> None:
    assert bounds_now(lanes.buffer, lane_count=LANES).sealed_through is None
    age_only_what_is_sealed(lambda: sealed)
    assert bounds_now(lanes.buffer, lane_count=LANES).sealed_through == bound


def test_what_may_come_again_from_its_lane_does_not_age(lanes: LaneKit, monkeypatch: pytest.MonkeyPatch) -> None:
    lanes.receive("evt-1")
    lanes.drain()
    lanes.receive("evt-2")
    monkeypatch.setattr(type(lanes.buffer), "trim", lambda *_, **__: None)
    lanes.drain()
    monkeypatch.undo()
    bounds = bounds_now(lanes.buffer, lane_count=LANES)
    assert age(days=91, bounds=bounds).removed["events"] == 1
    assert committed() == ["evt-2"]
    lanes.let_lease_expire()
    lanes.drain()
    assert age(days=91, bounds=bounds_now(lanes.buffer, lane_count=LANES)).removed["events"] == 1


def test_identities_go_only_where_a_term_is_set_and_leave_the_leaves(lanes: LaneKit) -> None:
    lanes.receive("evt-1")
    lanes.drain()
    age(days=91)
    assert age(days=399, policy=replace(POLICY, identity_days=400)).removed == {}
    assert age(days=401, policy=replace(POLICY, identity_days=400)).removed == {"identities": 1}
    assert len(leaf_hashes(Batch.objects.get())) == 1
    forget_in_redis(lanes)
    lanes.receive("evt-1")
    assert lanes.drain().settled.stored_count == 1


def test_lane_incidents_go_with_the_events(lanes: LaneKit) -> None:
    LaneIncident.objects.create(lane=0, kind="gap", epoch=1, first_sequence=1, last_sequence=2)
    assert age(days=89).removed == {}
    assert age(days=91).removed == {"lane incidents": 1}


def test_no_transaction_removes_more_than_its_limit_and_a_run_ends_with_its_budget(
    lanes: LaneKit, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(25):
        lanes.receive(f"evt-{number}")
        if number % 5 == 4:
            lanes.drain()
    steps: list[int | None] = []
    clock = in_days(31)
    step = Payloads.step

    def counted(self: Payloads, limit_count: int) -> int | None:
        steps.append(step(self, limit_count))
        clock.advance(timedelta(milliseconds=100))
        return steps[-1]

    monkeypatch.setattr(Payloads, "step", counted)
    pace = replace(AT_ONCE, rows_limit_count=10, budget=timedelta(milliseconds=150))
    first = age_out(POLICY, bounds=Bounds(), pace=pace, clock=clock)
    assert (steps, first.removed, first.is_complete) == ([10, 10], {"payloads": 20}, False)
    again = age_out(POLICY, bounds=Bounds(), pace=replace(pace, budget=timedelta(days=1)), clock=clock)
    assert (again.removed, again.is_complete) == ({"payloads": 5, "deliveries": 25}, True)


def test_a_dry_run_tells_what_would_go_and_removes_nothing(lanes: LaneKit) -> None:
    lanes.receive_many(["evt-1", "evt-2"])
    lanes.drain()
    now = in_days(31)
    found = dict(due(POLICY, now=datetime_of(us=now.now_us()), bounds=Bounds()))
    assert (found["payloads"], found["deliveries"], found["events"]) == (2, 2, 0)
    assert Delivery.objects.count() == 2
    assert age(days=31).removed == {"payloads": 2, "deliveries": 2}


class Held:
    """A step of retention in a thread of its own that stays open, with its locks, until told to end."""

    def __init__(self, step: Callable[[int], int | None]) -> None:
        self._step = step
        self.done, self._may_end = threading.Event(), threading.Event()
        self._pool = ThreadPoolExecutor(1)
        self._future = self._pool.submit(self._run)
        assert self.done.wait(10), "the step has run"

    def _run(self) -> int | None:
        try:
            with transaction.atomic():
                count = self._step(1_000)
                self.done.set()
                assert self._may_end.wait(20), "told to end"
            return count
        finally:
            self.done.set()
            connection.close()

    def end(self) -> int | None:
        self._may_end.set()
        count = self._future.result(20)
        self._pool.shutdown()
        return count


def in_a_thread[Value](work: Callable[[], Value]) -> tuple[threading.Thread, list[Value]]:
    found: list[Value] = []

    def run() -> None:
        try:
            found.append(work())
        finally:
            connection.close()

    thread = threading.Thread(target=run)
    thread.start()
    return thread, found


def ageing_events() -> Events:
    clock = in_days(91)
    now = datetime_of(us=clock.now_us())
    return Events(before=now - timedelta(days=90), now=now, bounds=Bounds())


def test_a_commit_that_meets_an_ageing_of_its_own_identity_waits_for_it_and_finds_the_duplicate(
    lanes: LaneKit,
) -> None:
    original = lanes.receive("evt-1")
    lanes.drain()
    age(days=31)
    forget_in_redis(lanes)
    lanes.receive("evt-1")
    held = Held(ageing_events().step)
    thread, reports = in_a_thread(lanes.drain)
    wait_until_blocked()
    assert held.end() == 1
    thread.join(20)
    settled = reports[0].settled
    assert (settled.stored_count, settled.duplicate_count) == (0, 1)
    assert not Event.objects.exists()
    assert SuppressedDuplicate.objects.get().original_event_id == original.event_id


def wait_until_blocked() -> None:
    """Somebody waits for another's transaction."""

    def is_blocked() -> bool:
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT count(*) FROM pg_stat_activity"
                " WHERE datname = current_database() AND cardinality(pg_blocking_pids(pid)) > 0"
            )
            return bool(cursor.fetchone()[0])

    wait_for(is_blocked, what="a commit waits for the ageing")


def test_an_ageing_that_is_undone_leaves_the_commit_its_duplicate(lanes: LaneKit) -> None:
    lanes.receive("evt-1")
    lanes.drain()
    age(days=31)
    forget_in_redis(lanes)
    lanes.receive("evt-1")

    def aged_and_undone(limit_count: int) -> int | None:
        count = ageing_events().step(limit_count)
        transaction.set_rollback(True)
        return count

    held = Held(aged_and_undone)
    thread, reports = in_a_thread(lanes.drain)
    wait_until_blocked()
    held.end()
    thread.join(20)
    assert (reports[0].settled.stored_count, reports[0].settled.duplicate_count) == (0, 1)
    assert committed() == ["evt-1"]
    assert not AgedEvent.objects.exists()


def test_commits_go_on_while_retention_holds_its_locks(lanes: LaneKit) -> None:
    lanes.receive_many(["evt-1", "evt-2"])
    lanes.drain()
    age(days=31)
    held = Held(ageing_events().step)
    lanes.receive_many(["evt-3", "evt-4"])
    with connection.cursor() as cursor:
        cursor.execute("SET lock_timeout = '100ms'")
    try:
        settled = lanes.drain().settled
    finally:
        with connection.cursor() as cursor:
            cursor.execute("RESET lock_timeout")
    assert settled.stored_count == 2
    assert held.end() == 2
    assert committed() == ["evt-3", "evt-4"]


def test_two_runs_at_once_age_each_row_once(lanes: LaneKit) -> None:
    for number in range(4):
        lanes.receive(f"evt-{number}")
        lanes.drain()
    age(days=31)
    held = Held(lambda _: ageing_events().step(2))
    other = age(days=91)
    assert (other.removed, other.is_complete) == ({}, True)  # it passed over the rows, and waited for none
    assert held.end() == 2
    assert age(days=91).removed == {"events": 2}
    assert AgedEvent.objects.count() == 4


def test_a_run_gives_way_to_whoever_holds_a_row_for_long(lanes: LaneKit) -> None:
    lanes.receive("evt-1")
    lanes.drain()
    (key,) = Event.objects.values_list("pk", flat=True)

    def hold(_: int) -> int:
        return len(Event.objects.select_for_update().filter(pk=key))

    held = Held(hold)
    report = age(days=31, pace=Pace(lock_timeout=timedelta(milliseconds=50)))
    assert (report.is_complete, "payloads" in report.removed) == (False, False)
    held.end()
    assert age(days=31).removed["payloads"] == 1


def test_ids_of_aged_events_are_those_of_the_receipts(lanes: LaneKit) -> None:
    receipts = lanes.receive_many(["evt-1", "evt-2"])
    lanes.drain()
    age(days=91)
    known: set[UUID] = set(AgedEvent.objects.values_list("pk", flat=True))
    assert known == {receipt.event_id for receipt in receipts}
    assert {(row.lane, row.sequence) for row in AgedEvent.objects.all()} == {(r.lane, r.sequence) for r in receipts}


def test_a_retried_event_ages_like_any_other_and_both_its_leaves_stay_provable(
    lanes: LaneKit, monkeypatch: pytest.MonkeyPatch
) -> None:
    (receipt,) = dead(lanes, monkeypatch, "evt-1")
    retry(receipt.event_id)
    lanes.drain()
    assert Event.objects.get().redriven_at is not None
    age(days=91)
    assert not Event.objects.exists()
    assert not DeadLetter.objects.exists()
    assert not SetAsideAttempt.objects.exists()
    assert [len(leaf_hashes(batch)) for batch in Batch.objects.order_by("number")] == [1, 1]


@pytest.mark.parametrize(("state", "is_left"), [("open", True), ("retrying", True), ("discarded", False)])
def test_a_quarantined_event_stays_until_a_person_has_settled_it(lanes: LaneKit, state: str, is_left: bool) -> None:
    lanes.receive("evt-1")
    lanes.append(delivery(event("evt-1", payload=b'{"other":true}')))
    lanes.drain()
    QuarantinedEvent.objects.update(state=SetAsideState(state))
    age(days=31)
    assert QuarantinedEvent.objects.exists() is is_left
    assert (Delivery.objects.count() == 1) is is_left


def test_what_was_settled_yesterday_stays_for_a_person_to_look_at(lanes: LaneKit) -> None:
    lanes.append(delivery(event("evt-1", payload=POISON)))
    lanes.drain()
    DeadLetter.objects.update(state=SetAsideState.DISCARDED, state_at=datetime_of(us=in_days(30).now_us()))
    age(days=31)
    assert DeadLetter.objects.exists()
    age(days=61)
    assert not DeadLetter.objects.exists()
