"""The checker of promises, against a real PostgreSQL and Valkey: it finds each way of losing an event, no other."""

from __future__ import annotations

import logging
from datetime import timedelta
from typing import Any

import pytest
from django.db import Error, connection, transaction

from autocom.kernel.clock import SYSTEM_CLOCK
from evidence import jobs
from evidence.audit import Act
from evidence.models import AuditEntry, PromiseIncident
from evidence.promises import check, incidents
from evidence.promises.check import Checker, check_promises
from evidence.selectors import newest_number
from ingestion.buffer import keys
from ingestion.buffer.append import AppendLimits, Code
from ingestion.models import AgedEvent, Batch, DeadLetter, Event, Lane, QuarantinedEvent, SuppressedDuplicate
from ingestion.promises import PromiseStanding, standing_of
from ingestion.receipts import Receipt
from ingestion.redrive.place import SetAside
from ingestion.redrive.retry import request_retry
from tests.support.ageing import age
from tests.support.lanes import LANES, LaneKit, delivery, event

pytestmark = pytest.mark.django_db(transaction=True)

State = PromiseIncident.State
MINUTE = timedelta(seconds=61)


@pytest.fixture
def lanes(buffer: Any) -> LaneKit:
    return LaneKit(buffer=buffer)


@pytest.fixture(autouse=True)
def _entries_of_this_test(monkeypatch: pytest.MonkeyPatch, db: None, transactional_db: None) -> None:
    """Nothing empties the audit log between tests."""
    monkeypatch.setattr("tests.evidence.test_promises.BEFORE", newest_number())


BEFORE = 0


@pytest.fixture
def _no_rounds(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the walk of due promises leaves out is not found by the next round instead."""
    monkeypatch.setattr(check, "_walk_round", lambda _: None)


def look(lanes: LaneKit, *, after: timedelta = MINUTE, budget: timedelta = timedelta(seconds=60)) -> PromiseStanding:
    """A look as it would be after this time."""
    now_us = lanes.buffer.now_us() + after // timedelta(microseconds=1)
    return check_promises(
        Checker(buffer=lanes.buffer, lane_count=LANES, now_us=now_us, clock=SYSTEM_CLOCK, budget=budget)
    )


def found() -> dict[Any, str]:
    return dict(PromiseIncident.objects.values_list("event_id", "state"))


def entries(act: Act) -> list[AuditEntry]:
    return list(AuditEntry.objects.filter(act=act.value, number__gt=BEFORE).order_by("number"))


def forge(statement: str, *parameters: Any) -> None:
    """As a superuser whom no foreign key and no trigger stops."""
    with connection.cursor() as cursor:
        cursor.execute("SET session_replication_role = replica")
        cursor.execute(statement, parameters)
        assert cursor.rowcount > 0
        cursor.execute("SET session_replication_role = DEFAULT")


def test_an_event_taken_off_its_lane_is_missing_after_a_minute_and_never_sooner(
    lanes: LaneKit, caplog: pytest.LogCaptureFixture
) -> None:
    _, lost, _ = lanes.receive_many(["a", "b", "c"])
    lanes.buffer.client.xdel(keys.stream(0), f"{lost.sequence}-0")
    lanes.drain()
    assert look(lanes, after=timedelta(seconds=59)).missing_count == 0
    with caplog.at_level(logging.ERROR):
        standing = look(lanes)
    assert standing.missing_count == 1
    assert found() == {lost.event_id: State.MISSING}
    (entry,) = entries(Act.PROMISE_BROKEN)
    assert entry.subject == f"event {lost.event_id}"
    assert "promises_broken" in [record.message for record in caplog.records if record.levelno == logging.ERROR]
    row = PromiseIncident.objects.get()
    assert incidents.promise_of(row) == Receipt(
        **{name: getattr(lost, name) for name in Receipt.__dataclass_fields__ if name != "key_id"}, key_id=""
    )
    look(lanes)
    assert len(entries(Act.PROMISE_BROKEN)) == 1  # once, however often it is looked for


def test_the_newest_entry_of_an_idle_lane_that_is_gone_is_a_gap_at_once(lanes: LaneKit) -> None:
    lanes.receive_many(["a", "b"])
    lost = lanes.receive("c")
    lanes.buffer.client.xdel(keys.stream(0), f"{lost.sequence}-0")
    assert str(lost.sequence) in look(lanes, after=timedelta(0)).gaps
    lanes.drain()
    gaps = look(lanes, after=timedelta(0)).gaps
    assert gaps == f"lane 0 epoch {lost.epoch} sequences 3 to 3"
    look(lanes, after=timedelta(0))
    assert [entry.subject for entry in entries(Act.PROMISE_BROKEN)] == [gaps]


@pytest.mark.parametrize("gone", [1, 2, 3])
def test_an_entry_that_is_gone_is_a_gap_wherever_it_stood(lanes: LaneKit, gone: int) -> None:
    lanes.receive_many(["a", "b", "c"])
    lanes.buffer.client.xdel(keys.stream(0), f"{gone}-0")
    assert look(lanes, after=timedelta(0)).gaps


def test_a_lane_that_waits_or_is_drained_has_no_gap(lanes: LaneKit) -> None:
    for _ in range(2):
        lanes.receive_many(["a", "b", "c"])
        assert look(lanes, after=timedelta(0)).gaps == ""
        lanes.drain()
        assert look(lanes, after=timedelta(0)).gaps == ""


def test_a_row_deleted_after_its_commit_is_missing(lanes: LaneKit) -> None:
    lost, _ = lanes.receive_many(["a", "b"])
    lanes.drain()
    forge("DELETE FROM ingestion_event WHERE id = %s", lost.event_id)
    look(lanes)
    assert found() == {lost.event_id: State.MISSING}


def test_a_row_deleted_long_after_it_was_looked_for_is_found_by_the_next_round(lanes: LaneKit) -> None:
    lost, _ = lanes.receive_many(["a", "b"])
    lanes.drain()
    look(lanes)
    assert found() == {}
    forge("DELETE FROM ingestion_event WHERE id = %s", lost.event_id)
    look(lanes)
    assert found() == {lost.event_id: State.MISSING}


def test_a_batch_deleted_with_its_events_is_missing_and_without_them_differs(lanes: LaneKit) -> None:
    first = lanes.receive_many(["a", "b"])
    lanes.drain()
    second = lanes.receive_many(["c", "d"])
    lanes.drain()
    older, newer = Batch.objects.order_by("number")
    forge("DELETE FROM ingestion_event WHERE batch_id = %s", older.number)
    forge("DELETE FROM ingestion_batch WHERE number IN (%s, %s)", older.number, newer.number)
    look(lanes)
    wanted = {each.event_id: State.MISSING for each in first} | {each.event_id: State.DIFFERS for each in second}
    assert found() == wanted


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ("lane = 3", "place"),
        ("sequence = 700", "batch"),
        ("epoch = epoch + 1", "batch"),
        ("body_sha256 = sha256('other')", "body digest"),
        ("accepted_at = accepted_at + interval '1 microsecond'", "accepted at"),
    ],
)
def test_a_row_that_is_not_as_it_was_promised_differs_and_it_is_told_how(
    lanes: LaneKit, change: str, told: str
) -> None:
    changed, _ = lanes.receive_many(["a", "b"])
    lanes.drain()
    if "lane" in change:
        forge("UPDATE ingestion_batch SET lane = 3")
        forge("UPDATE ingestion_event SET lane = 3 WHERE id <> %s", changed.event_id)
    forge(f"UPDATE ingestion_event SET {change} WHERE id = %s", changed.event_id)  # noqa: S608
    look(lanes)
    row = PromiseIncident.objects.get(pk=changed.event_id)
    assert row.state == State.DIFFERS
    assert told in row.detail


def test_a_row_that_comes_back_is_kept_late_with_an_entry(lanes: LaneKit) -> None:
    receipt = lanes.receive("a")
    lanes.drain()
    forge("UPDATE ingestion_event SET body_sha256 = sha256('other')")
    assert look(lanes).missing_count == 1
    forge("UPDATE ingestion_event SET body_sha256 = %s", receipt.body_sha256)
    assert look(lanes).missing_count == 0
    row = PromiseIncident.objects.get()
    assert (row.state, row.settled_at is None) == (State.KEPT_LATE, False)
    assert [entry.subject for entry in entries(Act.PROMISE_KEPT_LATE)] == [f"event {receipt.event_id}"]
    forge("DELETE FROM ingestion_event")
    assert look(lanes).missing_count == 1
    assert PromiseIncident.objects.get().settled_at is None


@pytest.mark.usefixtures("_no_rounds")
def test_an_event_that_waits_on_its_lane_is_late_and_no_incident_and_is_looked_for_again(lanes: LaneKit) -> None:
    waiting = lanes.receive("a", lane=2)
    committed = lanes.receive("b")
    lanes.drain()
    standing = look(lanes)
    assert (standing.missing_count, standing.late_lanes, standing.gaps) == (0, "2", "")
    assert standing.oldest_waiting_us == waiting.accepted_us
    later = lanes.receive("c")
    lanes.drain()
    look(lanes)
    lanes.buffer.client.xdel(keys.stream(2), f"{waiting.sequence}-0")
    standing = look(lanes)
    assert (standing.late_lanes, standing.oldest_waiting_us) == ("", 0)
    assert found() == {waiting.event_id: State.MISSING}
    assert Event.objects.filter(pk__in=[committed.event_id, later.event_id]).count() == 2


def test_one_of_a_late_lane_that_is_gone_is_missing_while_the_others_wait(lanes: LaneKit) -> None:
    _, lost, _ = lanes.receive_many(["a", "b", "c"])
    lanes.buffer.client.xdel(keys.stream(0), f"{lost.sequence}-0")
    assert look(lanes).late_lanes == "0"
    assert found() == {lost.event_id: State.MISSING}


def test_an_entry_changed_in_redis_is_a_broken_promise_though_its_bytes_are_kept(lanes: LaneKit) -> None:
    unreadable, altered = lanes.receive_many(["a", "b"])
    (_, first), (_, second) = lanes.raw()
    lanes.buffer.client.delete(keys.stream(0))
    for sequence, fields in ((1, first | {b"m": b"{"}), (2, second | {b"p": b'{"id": "x"}'})):
        words = [word for pair in fields.items() for word in pair]
        lanes.buffer.client.execute_command("XADD", keys.stream(0), f"{sequence}-0", *words)
    lanes.drain()
    assert DeadLetter.objects.count() == 2
    look(lanes)
    assert found() == {unreadable.event_id: State.MISSING, altered.event_id: State.DIFFERS}
    assert "stands at its place" in PromiseIncident.objects.get(pk=unreadable.event_id).detail


def test_dead_letters_quarantined_events_and_late_duplicates_are_kept_promises(lanes: LaneKit) -> None:
    lanes.receive("original")
    lanes.receive("original too")
    lanes.drain()
    for key in lanes.buffer.client.scan_iter(match=keys.seen(b"").decode() + "*"):
        lanes.buffer.client.delete(key)
    lanes.receive("original")
    lanes.receive("original too", payload=b'{"id": "original too", "more": 1}')
    lanes.receive("poison", payload=b'{"id": "poison", "nul": "\\u0000"}')
    lanes.drain()
    assert SuppressedDuplicate.objects.filter(late=True).count() == 1
    assert QuarantinedEvent.objects.count() == DeadLetter.objects.count() == 1
    standing = look(lanes)
    assert (found(), standing.missing_count) == ({}, 0)
    assert standing.checked_count == 3  # two identities stand twice in the list, with one record each


def test_an_event_that_a_retry_stored_is_kept_though_its_place_is_another(lanes: LaneKit) -> None:
    lanes.receive("original")
    lanes.drain()
    for key in lanes.buffer.client.scan_iter(match=keys.seen(b"").decode() + "*"):
        lanes.buffer.client.delete(key)
    first = lanes.receive("original", payload=b'{"id": "original", "more": 1}')
    lanes.drain()
    forge("DELETE FROM ingestion_event")
    with transaction.atomic():
        request_retry(SetAside.QUARANTINE, [first.event_id])
    lanes.drain()
    row = Event.objects.get(pk=first.event_id)
    assert row.redriven_from_sequence == first.sequence != row.sequence
    look(lanes)
    assert first.event_id not in found()
    forge("UPDATE ingestion_event SET redriven_from_sequence = 700")
    look(lanes)
    assert found()[first.event_id] == State.DIFFERS


def test_an_aged_event_is_kept_and_its_absence_is_found(lanes: LaneKit) -> None:
    aged, lost = lanes.receive_many(["a", "b"])
    lanes.drain()
    age(days=31)
    age(days=91)
    assert AgedEvent.objects.count() == 2
    assert look(lanes).missing_count == 0
    forge("DELETE FROM ingestion_agedevent WHERE event_id = %s", lost.event_id)
    forge("UPDATE ingestion_agedevent SET sequence = 700 WHERE event_id = %s", aged.event_id)
    look(lanes)
    assert found() == {aged.event_id: State.DIFFERS, lost.event_id: State.MISSING}


def test_what_may_have_aged_out_without_a_trace_is_no_incident(lanes: LaneKit) -> None:
    receipt = lanes.receive("a")
    lanes.drain()
    forge("DELETE FROM ingestion_event")
    assert look(lanes, after=timedelta(days=31)).missing_count == 0  # as long as settled letters are kept
    assert look(lanes, after=timedelta(days=29)).missing_count == 1
    assert found() == {receipt.event_id: State.MISSING}


def test_promises_that_redis_forgot_before_they_were_due_are_counted_as_unchecked(lanes: LaneKit) -> None:
    lanes.receive("first")
    lanes.drain()
    look(lanes)
    lanes.limits = AppendLimits(lane_bound_count=10_000, lane_bound_bytes=10**9, seen_bound_count=100)
    lanes.receive_many([f"evt-{i}" for i in range(400)])
    lanes.drain()
    dropped = int(lanes.buffer.client.get(keys.SEEN_DROPPED) or 0)
    assert dropped >= 230
    standing = look(lanes)
    assert standing.unchecked_count == dropped - 1
    assert standing.checked_count + standing.unchecked_count == 401
    assert look(lanes).unchecked_count == dropped - 1


def test_a_record_that_somebody_took_away_is_counted_as_unchecked(lanes: LaneKit) -> None:
    lanes.receive("first")
    look(lanes)
    lanes.receive_many(["a", "b"])
    identity = lanes.buffer.client.lindex(keys.SEEN_ORDER.decode(), 1)
    lanes.buffer.client.delete(keys.seen(identity))  # type: ignore[arg-type]
    assert look(lanes).unchecked_count == 1


@pytest.mark.usefixtures("_no_rounds")
def test_a_list_that_somebody_shortened_is_read_from_its_start_again(
    lanes: LaneKit, caplog: pytest.LogCaptureFixture
) -> None:
    lanes.receive_many([f"evt-{i}" for i in range(10)])
    lanes.drain()
    look(lanes)
    lanes.buffer.client.ltrim(keys.SEEN_ORDER.decode(), 3, -1)
    lost = lanes.receive("lost", lane=1)
    lanes.buffer.client.delete(keys.stream(1))
    lanes.receive_many([f"later-{i}" for i in range(5)])
    lanes.drain()
    look(lanes)
    assert found() == {lost.event_id: State.MISSING}
    assert "remembered_list_changed" in [record.message for record in caplog.records]


def test_a_look_without_time_goes_on_from_where_the_last_one_came_to(
    lanes: LaneKit, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(check, "GROUP_COUNT", 256)
    lanes.receive_many([f"evt-{i}" for i in range(600)])
    lanes.drain()
    behind = [look(lanes, budget=timedelta(0)).behind_count for _ in range(3)]
    assert (behind[-1], behind[0] > behind[1] > 0) == (0, True)
    assert look(lanes).checked_count == 600


def test_redis_that_knows_less_than_is_settled_has_lost_its_data(lanes: LaneKit) -> None:
    lanes.receive_many(["a", "b"], lane=1)
    lanes.drain(1)
    assert look(lanes).lost_lanes == ""
    lanes.buffer.client.flushdb()
    assert look(lanes).lost_lanes == "1"
    assert Lane.objects.get(number=1).cursor == 2


def test_nothing_is_known_while_postgresql_or_redis_is_silent(lanes: LaneKit, monkeypatch: pytest.MonkeyPatch) -> None:
    assert jobs.check_promises() == 0
    now_us = lanes.buffer.now_us()
    standing = standing_of(lanes.buffer)
    assert standing is not None
    assert standing.is_known(now_us=now_us)
    assert not standing.is_known(now_us=now_us + 31_000_000)

    def refuse(*_: object) -> None:
        raise Error("the server closed the connection")

    monkeypatch.setattr(check, "gaps_and_losses", refuse)
    assert jobs.check_promises() == -1
    standing = standing_of(lanes.buffer)
    assert standing is not None
    assert not standing.is_known(now_us=now_us)
    monkeypatch.undo()
    assert jobs.check_promises() == 0
    lanes.buffer.client.set(keys.SEEN_DROPPED, "no number")
    assert jobs.check_promises() == -1  # Redis refuses


def test_thousands_of_duplicates_conflicts_and_poison_raise_no_alarm(lanes: LaneKit) -> None:
    sent = 0
    for i in range(1_500):
        lane = i % LANES
        poison = b'{"id": "evt-%d", "nul": "\\u0000"}' % i if i % 50 == 0 else None
        deliveries = [delivery(event(f"evt-{i}", lane=lane, payload=poison))]
        if i % 3 == 0:
            deliveries.append(delivery(event(f"evt-{i}", lane=lane, payload=poison)))
        if i % 20 == 0:
            deliveries.append(delivery(event(f"evt-{i}", lane=lane, payload=b'{"other": %d}' % i)))
        for each in deliveries:
            (appended,) = lanes.append(each)
            sent += appended.code is Code.ACCEPTED
        if i % 400 == 0:
            lanes.drain(lane)
    for lane in range(LANES):
        lanes.drain(lane)
    standing = look(lanes)
    assert (found(), standing.checked_count, sent) == ({}, 1_500, 1_500)
    assert (standing.gaps, standing.late_lanes, standing.unchecked_count) == ("", "", 0)
