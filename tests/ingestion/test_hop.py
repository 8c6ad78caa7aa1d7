"""From the receiver to the commit: what Redis carries and cannot change unseen."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from autocom.kernel.digest import sha256
from ingestion.accept import promise_keys
from ingestion.buffer import keys
from ingestion.buffer.append import Code, DeliveryToAppend, EntryKind
from ingestion.buffer.hop import entry_mac, old_entry_mac
from ingestion.buffer.store import LaneBuffer
from ingestion.commit import RECEIPT_MISMATCH
from ingestion.models import Batch, DeadLetter, Delivery, Event, Lane, QuarantinedEvent, SuppressedDuplicate
from tests.support.lanes import Fields, LaneKit, assert_every_batch_is_proved, committed, delivery, event, key_on
from tests.support.redrives import dead, retry

pytestmark = pytest.mark.django_db(transaction=True)

EVENT, DUPLICATE, QUARANTINED, REDRIVEN = (kind.value for kind in EntryKind)
KINDS = [EVENT, DUPLICATE, QUARANTINED, REDRIVEN]


def seen_of(lanes: LaneKit, sent: DeliveryToAppend) -> bytes:
    """What Redis remembers of the delivery's only event."""
    found: bytes = lanes.buffer.client.get(keys.seen(sent.events[0].identity))
    return found


def letters() -> list[tuple[str, int, int]]:
    return list(DeadLetter.objects.order_by("lane", "sequence").values_list("error_class", "lane", "sequence"))


def mixture(lanes: LaneKit, *, payload: bytes = b'{"other":1}') -> bytes:
    """Sequences 1 to 3: an event, its duplicate, another content of it. Gives what Redis remembers."""
    sent = delivery(event("evt-1"))
    for each in (sent, delivery(event("evt-1")), delivery(event("evt-1", payload=payload))):
        lanes.append(each)
    return seen_of(lanes, sent)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("sequence", [1, 2, 3])
def test_an_entry_under_another_kind_is_a_dead_letter_and_never_vanishes(
    lanes: LaneKit, sequence: int, kind: bytes
) -> None:
    seen = mixture(lanes)
    was = lanes.raw()[sequence - 1][1][b"k"]
    lanes.rewrite(0, lambda at, fields: fields | ({b"k": kind, b"s": seen} if at == sequence and kind != was else {}))
    lanes.drain()
    expected = [] if kind == was else [(RECEIPT_MISMATCH, 0, sequence)]
    if (sequence, kind) != (1, EVENT) and sequence == 1:
        expected.append((RECEIPT_MISMATCH, 0, 2))  # the duplicate of what is not stored: its bytes are kept as well
    assert letters() == expected
    assert Event.objects.count() + SuppressedDuplicate.objects.count() + QuarantinedEvent.objects.count() == 3 - len(
        expected
    )
    assert_every_batch_is_proved()


def test_an_entry_that_was_moved_to_another_lane_is_a_dead_letter(lanes: LaneKit) -> None:
    lanes.receive("evt-1", lane=1)
    ((_, fields),) = lanes.raw(1)
    lanes.buffer.client.delete(keys.stream(1))
    lanes.receive("evt-2", lane=0)
    lanes.buffer.client.execute_command(
        "XADD", keys.stream(0), "2-0", *[word for pair in fields.items() for word in pair]
    )
    lanes.drain()
    assert committed() == ["evt-2"]
    assert letters() == [(RECEIPT_MISMATCH, 0, 2)]


def test_a_duplicate_whose_words_were_changed_is_a_dead_letter(lanes: LaneKit) -> None:
    def changed(sequence: int, fields: Fields) -> Fields:
        if sequence == 1:
            return fields
        meta = json.loads(fields[b"m"]) | {"message_id": "evt-9"}
        return fields | {b"m": json.dumps(meta).encode()}

    lanes.receive("evt-1")
    lanes.append(delivery(event("evt-1")))
    lanes.rewrite(0, changed)
    lanes.drain()
    assert letters() == [(RECEIPT_MISMATCH, 0, 2)]
    assert not SuppressedDuplicate.objects.exists()


def test_a_duplicate_whose_body_was_changed_is_no_evidence(lanes: LaneKit) -> None:
    lanes.receive("evt-1")
    lanes.append(delivery(event("evt-1")))
    lanes.rewrite(0, lambda sequence, fields: fields | ({b"p": b'{"id":"evt-2"}'} if sequence == 2 else {}))
    lanes.drain()
    assert letters() == [(RECEIPT_MISMATCH, 0, 2)]
    assert [bytes(row.body) for row in Delivery.objects.all()] == [b'{"id": "evt-1"}']


FORGED = {
    "another content": lambda seen: bytes(32) + seen[32:],
    "an event that is stored nowhere": lambda seen: seen[:32] + bytes(16) + seen[48:],
    "no receipt": lambda seen: seen[:40],
}


@pytest.mark.parametrize("forge", FORGED.values(), ids=FORGED)
def test_a_duplicate_of_something_else_is_a_dead_letter(lanes: LaneKit, forge: Callable[[bytes], bytes]) -> None:
    lanes.receive("evt-1")
    lanes.append(delivery(event("evt-1")))
    lanes.rewrite(0, lambda sequence, fields: fields | ({b"s": forge(fields[b"s"])} if sequence == 2 else {}))
    lanes.drain()
    assert committed() == ["evt-1"]
    assert letters() == [(RECEIPT_MISMATCH, 0, 2)]
    assert_every_batch_is_proved()


def remember(lanes: LaneKit, sent: DeliveryToAppend, *, original: bytes, lane: int = 0) -> None:
    """As somebody who writes Redis's memory would: this new event has come before."""
    (each,) = sent.events
    receipt = original + sent.body_sha256 + promise_keys().receipt.id.encode() + b"%d 1 1 1" % lane
    lanes.buffer.client.set(keys.seen(each.identity), each.content_sha256 + receipt)


def test_a_new_event_that_redis_was_made_to_know_is_kept_for_a_person(lanes: LaneKit) -> None:
    known = lanes.receive("evt-1")
    lanes.drain()
    for number, original in enumerate([bytes(16), known.event_id.bytes]):
        sent = delivery(event(f"evt-new-{number}"))
        remember(lanes, sent, original=original)
        (answer,) = lanes.append(sent)
        assert answer.code is Code.DUPLICATE
    lanes.drain()
    assert not SuppressedDuplicate.objects.exists()
    assert [letter.message_id for letter in DeadLetter.objects.order_by("sequence")] == ["evt-new-0", "evt-new-1"]
    assert "stored" in DeadLetter.objects.earliest("sequence").error


def test_a_duplicate_is_one_whatever_became_of_its_original(lanes: LaneKit) -> None:
    lanes.receive("evt-dead", payload=b'{"a":NaN}')
    lanes.drain()
    lanes.append(delivery(event("evt-dead", payload=b'{"a":NaN}')))
    lanes.receive("evt-late")
    lanes.drain()
    lanes.buffer.client.delete(*lanes.buffer.client.keys(keys.TAG + b"seen:*"))
    lanes.receive("evt-late")  # under a new receipt, and late for PostgreSQL
    lanes.drain()
    lanes.append(delivery(event("evt-late")))
    lanes.drain()
    assert SuppressedDuplicate.objects.count() == 3
    assert [error_class for error_class, _, _ in letters()] == ["PoisonPayload"]


def test_a_duplicate_whose_original_still_waits_on_another_lane_is_believed(lanes: LaneKit) -> None:
    lanes.receive("evt-1", lane=1)
    lanes.append(delivery(event("evt-1", key=key_on(0))))
    lanes.drain(0)
    assert SuppressedDuplicate.objects.count() == 1
    lanes.drain(1)
    assert committed(1) == ["evt-1"]
    assert not DeadLetter.objects.exists()


def as_of_old(lane: int, sequence: int, fields: Fields) -> Fields:
    """As the receiver of before made it."""
    key = promise_keys().hop
    return fields | {b"h": old_entry_mac(key, meta=fields[b"m"], payload=fields.get(b"p", b""))}


def test_entries_that_wait_on_their_lane_during_an_upgrade_are_settled_as_ever(
    lanes: LaneKit, monkeypatch: pytest.MonkeyPatch
) -> None:
    dead(lanes, monkeypatch, "evt-0")
    retry(DeadLetter.objects.get().event_id)
    mixture(lanes)
    lanes.rewrite(0, lambda sequence, fields: as_of_old(0, sequence, fields))
    lanes.drain()
    assert committed() == ["evt-0", "evt-1"]
    assert (SuppressedDuplicate.objects.count(), QuarantinedEvent.objects.count()) == (1, 1)
    assert {letter.state for letter in DeadLetter.objects.all()} == {"retried"}
    assert_every_batch_is_proved()


def test_an_old_entry_made_a_duplicate_does_not_vanish(lanes: LaneKit) -> None:
    sent = delivery(event("evt-1"))
    lanes.append(sent)
    seen = seen_of(lanes, sent)
    lanes.rewrite(0, lambda sequence, fields: as_of_old(0, sequence, fields) | {b"k": DUPLICATE, b"s": seen})
    lanes.drain()
    assert letters() == [(RECEIPT_MISMATCH, 0, 1)]
    assert bytes(DeadLetter.objects.get().payload_bytes) == sent.events[0].payload


def test_no_mac_of_another_kind_reaches_redis(lanes: LaneKit) -> None:
    mixture(lanes)
    for (_, fields), kind in zip(lanes.raw(), [EVENT, DUPLICATE, QUARANTINED], strict=True):
        payload_sha256 = bytes(32) if kind == DUPLICATE else sha256(fields[b"p"])
        expected = entry_mac(promise_keys().hop, kind=kind, lane=0, meta=fields[b"m"], payload_sha256=payload_sha256)
        assert (fields[b"k"], fields[b"h"]) == (kind, expected)


@pytest.mark.parametrize("payload", [b'{"other":1}', b'{"a":NaN}'], ids=["quarantined", "poison"])
def test_an_entry_that_somebody_copied_on_its_lane_leaves_one_row_and_one_leaf(lanes: LaneKit, payload: bytes) -> None:
    def copy(at: int, sequence: int) -> None:
        words = [word for pair in lanes.raw()[at][1].items() for word in pair]
        lanes.buffer.client.execute_command("XADD", keys.stream(0), f"{sequence}-0", *words)

    lanes.receive("evt-1")
    lanes.append(delivery(event("evt-1" if b"other" in payload else "evt-2", payload=payload)))
    copy(1, 3)
    fields = lanes.raw()[1][1]
    lanes.drain()
    lanes.buffer.client.execute_command(
        "XADD", keys.stream(0), "4-0", *[word for pair in fields.items() for word in pair]
    )
    lanes.drain()
    assert QuarantinedEvent.objects.count() + DeadLetter.objects.count() == 1
    assert_every_batch_is_proved()


def test_batches_of_a_lane_cover_its_sequences_whatever_was_in_them(
    lanes: LaneKit, monkeypatch: pytest.MonkeyPatch
) -> None:
    lanes.receive("evt-1")
    lanes.drain()
    lanes.append(delivery(event("evt-1")))
    lanes.drain()
    (receipt,) = dead(lanes, monkeypatch, "evt-2")
    retry(receipt.event_id)
    monkeypatch.setattr("ingestion.commit.why_unstorable", lambda _payload: "still a bug")
    lanes.drain()
    monkeypatch.undo()
    lanes.receive("evt-3")
    monkeypatch.setattr(LaneBuffer, "trim", lambda *_, **__: None)
    lanes.drain()
    monkeypatch.undo()
    lanes.let_lease_expire()
    lanes.drain()  # a repetition, which moves nothing
    ranges = list(Batch.objects.order_by("number").values_list("first_sequence", "last_sequence"))
    assert ranges == [(1, 1), (2, 2), (3, 3), (4, 4), (5, 5)]
    assert Lane.objects.get(number=0).cursor == 5
    empty = Batch.objects.get(first_sequence=2)
    assert (empty.event_count, empty.duplicate_count, bytes(empty.merkle_root)) == (0, 1, sha256(b""))
    assert_every_batch_is_proved()
