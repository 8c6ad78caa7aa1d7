"""A retry: the event comes out as it went in, at a new place, once, and its first receipt stays true."""

from __future__ import annotations

import itertools
import random
import threading
from collections.abc import Callable

import pytest
from django.db import connection
from django.db.transaction import TransactionManagementError

from autocom.kernel.clock import datetime_of
from ingestion.buffer import keys
from ingestion.buffer.append import AppendLimits, EntryKind
from ingestion.models import (
    Batch,
    DeadLetter,
    Delivery,
    Event,
    LaneIncident,
    QuarantinedEvent,
    SetAsideAttempt,
    SetAsideState,
    SuppressedDuplicate,
)
from ingestion.redrive import send as send_step
from ingestion.redrive.forecast import Fate
from ingestion.redrive.retry import RetryRequest, request_retry
from ingestion.redrive.selectors import attempts_of
from tests.support.lanes import LaneKit, assert_every_batch_is_proved, committed, delivery, event
from tests.support.redrives import LETTER, QUARANTINE, dead, outcomes, retry
from tests.support.workers import wait_for

pytestmark = pytest.mark.django_db(transaction=True)

FROM_THE_RECEIPT = (
    "provider",
    "message_id",
    "event_type",
    "ordering_key",
    "recipe",
    "received_at",
    "kind",
    "occurred_at",
)


def test_a_retried_letter_is_stored_as_it_was_sent_at_a_place_of_its_own(
    lanes: LaneKit, monkeypatch: pytest.MonkeyPatch
) -> None:
    payload = '{"id":"evt-1","t":"naïve ☂","n":1.50,"big":12345678901234567890}'.encode()
    (receipt,) = dead(lanes, monkeypatch, "evt-1", payload=payload, occurred_us=1_700_000_000_123_456)
    before = DeadLetter.objects.get()
    assert retry(receipt.event_id).requested == (receipt.event_id,)
    (entry,) = lanes.waiting()
    assert (entry.kind, entry.payload, entry.sequence) == (EntryKind.REDRIVEN, payload, receipt.sequence + 1)
    report = lanes.drain()
    assert (report.outcome, len(report.settled.stored), report.settled.dead_count) == ("emptied", 1, 0)

    stored, letter = Event.objects.get(), DeadLetter.objects.get()
    assert stored.id == receipt.event_id == letter.event_id
    assert [getattr(stored, name) for name in FROM_THE_RECEIPT] == [getattr(before, name) for name in FROM_THE_RECEIPT]
    for digest in ("identity", "body_sha256", "content_sha256"):
        assert bytes(getattr(stored, digest)) == bytes(getattr(before, digest))
    assert bytes(stored.body_sha256) == receipt.body_sha256
    assert stored.occurred_at == datetime_of(us=1_700_000_000_123_456)
    with connection.cursor() as cursor:
        cursor.execute("SELECT payload = %s::jsonb FROM ingestion_event", [payload.decode()])
        assert cursor.fetchone() == (True,)
    assert (stored.sequence, stored.redriven_from_sequence) == (receipt.sequence + 1, receipt.sequence)
    assert stored.redriven_at is not None
    assert stored.redriven_at < stored.accepted_at
    assert stored.accepted_at > before.accepted_at

    assert (letter.state, letter.attempt_count, bytes(letter.payload_bytes)) == ("retried", 2, payload)
    assert (letter.lane, letter.epoch, letter.sequence) == (receipt.lane, receipt.epoch, receipt.sequence)
    first, second = attempts_of(LETTER, receipt.event_id)
    assert (first.outcome, first.error, second.outcome, second.batch_number) == (
        "failed",
        "a bug of ours",
        "stored",
        stored.batch_id,
    )
    assert (second.sequence, second.lane) == (stored.sequence, stored.lane)
    assert (Delivery.objects.count(), LaneIncident.objects.count()) == (1, 0)
    assert lanes.is_idle()
    assert_every_batch_is_proved()


def test_a_retry_tells_its_leaf_from_that_of_a_first_storing(lanes: LaneKit, monkeypatch: pytest.MonkeyPatch) -> None:
    (receipt,) = dead(lanes, monkeypatch, "evt-1")
    retry(receipt.event_id)
    lanes.drain()
    assert_every_batch_is_proved()
    Event.objects.update(redriven_at=None)  # somebody hides that it was retried
    with pytest.raises(AssertionError):
        assert_every_batch_is_proved()


def test_letters_go_to_their_lane_in_the_order_they_were_accepted_in(
    lanes: LaneKit, monkeypatch: pytest.MonkeyPatch
) -> None:
    receipts = dead(lanes, monkeypatch, *[f"evt-{number}" for number in range(1, 8)])
    retry(*[receipt.event_id for receipt in reversed(receipts)])
    lanes.drain()
    assert committed() == [f"evt-{number}" for number in range(1, 8)]


def test_a_retry_that_fails_for_its_data_is_open_again_with_the_new_error_and_both_in_its_history(
    lanes: LaneKit, monkeypatch: pytest.MonkeyPatch
) -> None:
    (receipt,) = dead(lanes, monkeypatch, "evt-1")
    old = DeadLetter.objects.get().fingerprint
    retry(receipt.event_id)
    lanes.receive("evt-2")
    with monkeypatch.context() as patched:
        patched.setattr("ingestion.commit.why_unstorable", lambda p: "another bug" if b"evt-1" in p else None)
        report = lanes.drain()
    assert (report.settled.dead_count, report.settled.set_aside["default", "retry_failed"]) == (0, 1)
    letter = DeadLetter.objects.get()
    assert (letter.state, letter.attempt_count, letter.error) == ("open", 2, "another bug")
    assert letter.fingerprint != old
    assert [each.error for each in attempts_of(LETTER, receipt.event_id)] == ["a bug of ours", "another bug"]
    assert committed() == ["evt-2"]
    retry(receipt.event_id)
    lanes.drain()
    assert outcomes(receipt.event_id) == ["failed", "failed", "stored"]
    assert committed() == ["evt-2", "evt-1"]
    assert_every_batch_is_proved()


def test_what_only_the_database_refuses_opens_the_letter_again_and_its_neighbours_commit(
    lanes: LaneKit, monkeypatch: pytest.MonkeyPatch
) -> None:
    lanes.receive("evt-bad", payload=b'{"a":"\\u0000"}')
    lanes.drain()
    bad = DeadLetter.objects.get().event_id
    for module in ("ingestion.commit", "ingestion.redrive.forecast"):  # neither check finds it: PostgreSQL does
        monkeypatch.setattr(f"{module}.why_unstorable", lambda _payload: None)
    retry(bad)
    lanes.receive("evt-1")
    assert lanes.drain().outcome == "emptied"
    assert committed() == ["evt-1"]
    letter = DeadLetter.objects.get()
    assert (letter.state, letter.error_class, letter.attempt_count) == ("open", "DataError", 2)
    assert_every_batch_is_proved()


def test_a_retry_whose_event_came_in_another_way_is_closed_as_a_duplicate_and_stores_nothing(
    lanes: LaneKit, monkeypatch: pytest.MonkeyPatch
) -> None:
    (receipt,) = dead(lanes, monkeypatch, "evt-1")
    retry(receipt.event_id)
    lanes.buffer.client.delete(*lanes.buffer.client.keys("{autocom}:seen:*"))  # its dedupe window is over
    again = lanes.receive("evt-1")
    assert [fields[b"k"] for _, fields in lanes.raw()] == [b"R", b"E"]
    lanes.drain()
    # both in one batch: the first entry wins, the other is the duplicate
    assert committed() == ["evt-1"]
    assert SuppressedDuplicate.objects.get().event_id == again.event_id

    Event.objects.all().delete()
    DeadLetter.objects.update(state=SetAsideState.OPEN)
    other = lanes.receive("evt-2")
    lanes.drain()
    letter = DeadLetter.objects.get()
    Event.objects.filter(pk=other.event_id).update(identity=letter.identity, content_sha256=letter.content_sha256)
    told = retry(receipt.event_id)
    assert told.requested == (receipt.event_id,)
    lanes.drain()
    assert DeadLetter.objects.get().state == "retried"
    last = attempts_of(LETTER, receipt.event_id).last()
    assert last is not None
    assert (last.outcome, last.original_event_id) == ("duplicate", other.event_id)
    assert Event.objects.count() == 1


def test_a_retry_whose_identity_was_taken_by_other_content_meanwhile_is_open_again(
    lanes: LaneKit, monkeypatch: pytest.MonkeyPatch
) -> None:
    (receipt,) = dead(lanes, monkeypatch, "evt-1")
    retry(receipt.event_id)
    other = lanes.receive("evt-2", lane=1)
    lanes.drain(1)
    Event.objects.update(identity=DeadLetter.objects.get().identity)  # taken while the retry waited
    lanes.drain()
    letter = DeadLetter.objects.get()
    assert (letter.state, letter.error_class) == ("open", "identity_conflict")
    assert str(other.event_id) in letter.error
    assert (Event.objects.count(), QuarantinedEvent.objects.count()) == (1, 0)
    assert sum(Batch.objects.values_list("event_count", flat=True)) == 1


def test_two_operators_at_once_commit_one_event(lanes: LaneKit, monkeypatch: pytest.MonkeyPatch) -> None:
    receipts = dead(lanes, monkeypatch, *[f"evt-{number}" for number in range(20)])
    ids = [receipt.event_id for receipt in receipts]
    barrier = threading.Barrier(4)
    results: list[RetryRequest] = []

    def press(order: int) -> None:
        try:
            barrier.wait()
            results.append(retry(*(ids if order % 2 else reversed(ids))))
        finally:
            connection.close()

    threads = [threading.Thread(target=press, args=(order,)) for order in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(each for result in results for each in result.requested) == sorted(ids)
    assert {each.fate for result in results for each in result.refused} == {Fate.NOT_OPEN}
    lanes.drain()
    assert Event.objects.count() == 20
    assert SetAsideAttempt.objects.filter(number=2, outcome="stored").count() == 20
    assert_every_batch_is_proved()


@pytest.mark.parametrize("drain_between", [False, True])
def test_an_attempt_that_is_sent_twice_is_committed_once(
    lanes: LaneKit, monkeypatch: pytest.MonkeyPatch, drain_between: bool
) -> None:
    (receipt,) = dead(lanes, monkeypatch, "evt-1")
    retry(receipt.event_id)
    first = lanes.raw()
    assert send_step.send(LETTER, [receipt.event_id], buffer=lanes.buffer) == 1
    assert len(lanes.raw()) == len(first) + 1
    if drain_between:
        lanes.policy = type(lanes.policy)(
            batch_limit_count=1, gather=lanes.policy.gather, linger=lanes.policy.linger, turn=lanes.policy.turn
        )
    report = lanes.drain()
    assert (len(report.settled.stored), report.settled.repeated_count) == (1, 1)
    assert outcomes(receipt.event_id) == ["failed", "stored"]
    assert Event.objects.count() == 1
    assert_every_batch_is_proved()


def test_a_failed_attempt_that_is_sent_twice_counts_once(lanes: LaneKit, monkeypatch: pytest.MonkeyPatch) -> None:
    (receipt,) = dead(lanes, monkeypatch, "evt-1")
    retry(receipt.event_id)
    send_step.send(LETTER, [receipt.event_id], buffer=lanes.buffer)
    with monkeypatch.context() as patched:
        patched.setattr("ingestion.commit.why_unstorable", lambda _payload: "still")
        lanes.drain()
    assert outcomes(receipt.event_id) == ["failed", "failed"]
    assert DeadLetter.objects.get().attempt_count == 2


def test_an_entry_of_an_attempt_that_is_over_raises_no_letter_from_its_discard(
    lanes: LaneKit, monkeypatch: pytest.MonkeyPatch
) -> None:
    (receipt,) = dead(lanes, monkeypatch, "evt-1")
    retry(receipt.event_id)
    DeadLetter.objects.update(state=SetAsideState.DISCARDED)
    lanes.drain()
    assert not Event.objects.exists()
    assert DeadLetter.objects.get().state == "discarded"
    assert lanes.is_idle()


def test_a_full_lane_refuses_and_the_letter_stays_open(lanes: LaneKit, monkeypatch: pytest.MonkeyPatch) -> None:
    one, two = (receipt.event_id for receipt in dead(lanes, monkeypatch, "evt-1", "evt-2"))
    monkeypatch.setattr(
        send_step, "append_limits", lambda: AppendLimits(lane_bound_count=1, lane_bound_bytes=1_000_000)
    )
    retry(one, two)
    assert len(lanes.waiting()) == 1
    assert dict(DeadLetter.objects.values_list("event_id", "state")) == {one: "retrying", two: "open"}
    assert outcomes(two) == ["failed", "lane_full"]
    lanes.drain()
    retry(two)
    lanes.drain()
    assert outcomes(two) == ["failed", "lane_full", "stored"]
    assert committed() == ["evt-1", "evt-2"]


def test_a_retry_counts_the_bytes_that_its_trim_sets_free(lanes: LaneKit, monkeypatch: pytest.MonkeyPatch) -> None:
    (receipt,) = dead(lanes, monkeypatch, "evt-1", payload=b'{"a":"%s"}' % (b"x" * 3_000))
    lanes.receive("evt-2", lane=0)
    before = lanes.buffer.peek(0).size_bytes
    retry(receipt.event_id)
    entry = lanes.waiting()[-1]
    assert lanes.buffer.peek(0).size_bytes - before == entry.size_bytes > 3_000


def test_a_retry_rings_for_an_idle_lane(lanes: LaneKit, monkeypatch: pytest.MonkeyPatch) -> None:
    (receipt,) = dead(lanes, monkeypatch, "evt-1")
    lanes.buffer.client.delete(keys.rq_queue(keys.DRAIN_QUEUE))
    retry(receipt.event_id)
    (job,) = lanes.jobs()
    assert job.startswith("retry-0-")


def test_a_quarantined_event_whose_original_was_never_stored_is_stored_by_a_retry(lanes: LaneKit) -> None:
    lanes.receive("evt-1", payload=b'{"a":NaN}')
    lanes.append(delivery(event("evt-1", payload=b'{"a":1}', occurred_us=1_700_000_000_000_000)))
    lanes.drain()
    aside = QuarantinedEvent.objects.get()
    assert retry(aside.event_id, place=QUARANTINE).requested == (aside.event_id,)
    lanes.drain()
    stored = Event.objects.get()
    assert (stored.id, stored.payload, stored.occurred_at) == (aside.event_id, {"a": 1}, aside.occurred_at)
    assert aside.occurred_at is not None
    assert QuarantinedEvent.objects.get().state == "retried"
    assert outcomes(aside.event_id, place=QUARANTINE) == ["failed", "stored"]
    assert_every_batch_is_proved()


def test_asking_outside_a_transaction_is_refused(lanes: LaneKit) -> None:
    with pytest.raises(TransactionManagementError, match=r"transaction\.atomic"):
        request_retry(LETTER, [])


def test_a_retry_is_no_measure_of_how_fast_events_are_stored(lanes: LaneKit, monkeypatch: pytest.MonkeyPatch) -> None:
    (receipt,) = dead(lanes, monkeypatch, "evt-1")
    lanes.recorder.take()
    retry(receipt.event_id)
    lanes.drain()
    taken = lanes.recorder.take()
    assert not taken.stages
    assert taken.set_aside == {("default", "retry_stored"): 1}


def test_an_entry_changed_in_redis_while_it_is_sent_again_is_kept_as_evidence_and_the_letter_is_sent_once_more(
    lanes: LaneKit, monkeypatch: pytest.MonkeyPatch
) -> None:
    (receipt,) = dead(lanes, monkeypatch, "evt-1")
    retry(receipt.event_id)
    lanes.rewrite(0, lambda _, fields: fields | {b"p": b'{"forged":true}'})
    lanes.drain()
    assert not Event.objects.exists()
    forged = DeadLetter.objects.exclude(pk=receipt.event_id).get()
    assert (forged.error_class, b"forged" in bytes(forged.payload_bytes)) == ("receipt_mismatch", True)
    assert_every_batch_is_proved()
    monkeypatch.setattr(send_step, "STRANDED_AFTER", -send_step.STRANDED_AFTER)
    assert send_step.send_stranded(buffer=lanes.buffer) == 1
    lanes.drain()
    assert committed() == ["evt-1"]
    assert_every_batch_is_proved()


def test_letters_retried_under_traffic_by_two_at_once_are_each_stored_once_and_every_key_keeps_its_order(
    lanes: LaneKit, monkeypatch: pytest.MonkeyPatch
) -> None:
    """F17: drains at work, senders that go on and repeat themselves, and everything asked for twice."""
    names = [f"evt-{number}" for number in range(40)]
    ids = [receipt.event_id for receipt in dead(lanes, monkeypatch, *names)]
    identities = DeadLetter.objects.values_list("identity", flat=True)
    lanes.buffer.client.delete(*(keys.seen(bytes(identity)) for identity in identities))
    stop = threading.Event()
    faults: list[Exception] = []

    def work(step: Callable[[], object]) -> Callable[[], None]:
        def run() -> None:
            try:
                while not stop.is_set():
                    step()
            except Exception as error:  # noqa: BLE001  (a thread's fault must fail the test)
                faults.append(error)
            finally:
                connection.close()

        return run

    numbers = itertools.count()
    steps: list[Callable[[], object]] = [
        lambda: lanes.append(delivery(event(f"live-{next(numbers) % 150}"))),
        lambda: lanes.append(delivery(event(random.choice(names)))),  # their senders try again as well
        lanes.drain,
        lambda: retry(*random.sample(ids, 5)),
        lambda: retry(*random.sample(ids, 5)),
        lambda: send_step.send(LETTER, ids, buffer=lanes.buffer),
    ]
    threads = [threading.Thread(target=work(step)) for step in steps]
    for thread in threads:
        thread.start()
    wait_for(lambda: not DeadLetter.objects.exclude(state=SetAsideState.RETRIED).exists(), what="all are settled")
    stop.set()
    for thread in threads:
        thread.join()
    assert faults == []
    lanes.let_lease_expire()
    lanes.drain()
    rows = list(Event.objects.filter(message_id__startswith="evt-").values_list("message_id", flat=True))
    assert sorted(rows) == sorted(names)
    places = list(Event.objects.order_by("batch_id", "sequence").values_list("epoch", "sequence"))
    assert places == sorted(set(places))
    ends = set(SetAsideAttempt.objects.filter(number__gt=1).values_list("outcome", flat=True))
    assert ends <= {"stored", "duplicate"}
    assert not LaneIncident.objects.exists()
    assert_every_batch_is_proved()
