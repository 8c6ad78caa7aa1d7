"""What can never be stored: only that is dead-lettered, with its bytes, and its neighbours commit in order."""

from __future__ import annotations

import json
import random

import pytest
from django.db import connection

from ingestion.buffer.append import EntryKind
from ingestion.bulk_insert import insert_new
from ingestion.commit import DEATHS_LIMIT_COUNT
from ingestion.identify import TEXT_LIMIT_BYTES, short
from ingestion.models import Batch, DeadLetter, Delivery, Event, Lane, QuarantinedEvent, SuppressedDuplicate
from ingestion.poison import DEPTH_LIMIT, why_unstorable
from tests.support.lanes import Fields, LaneKit, assert_every_batch_is_proved, buried, committed, delivery, event

pytestmark = pytest.mark.django_db(transaction=True)

POISON = {
    "escaped NUL": b'{"a":"x\\u0000y"}',
    "escaped NUL in a key": b'{"x\\u0000y":1}',
    "lone high surrogate": b'{"a":"\\ud800"}',
    "lone low surrogate": b'{"a":"\\udc00 and more"}',
    "NaN": b'{"a":NaN}',
    "-Infinity": b"[-Infinity]",
    "1e400": b'{"a":1e400}',
    "400 digits before the point": b'{"a":' + b"9" * 400 + b".0}",
    "100,000 levels": b'{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    "raw NUL": b'{"a":"\x00"}',
    "not UTF-8": b'{"a":"\\ud800\xff"}',
}
STORABLE = {
    "escaped backslash before u0000": b'{"a":"\\\\u0000"}',
    "a surrogate pair": b'{"a":"\\ud83d\\ude00"}',
    "brackets inside a text": json.dumps({"a": "[{" * 1_000}).encode(),
    "the deepest that is taken": b"[" * DEPTH_LIMIT + b"]" * DEPTH_LIMIT,
    "wide, not deep": b"[" + b"[]," * 1_000 + b"[]]",
    "the word NaN": b'{"a":"NaN"}',
    "1e308": b'{"a":1e308}',
    "1e-400": b'{"a":1e-400}',
    "300 digits in a text": json.dumps({"a": "9" * 300}).encode(),
    "a scalar": b"17",
}


@pytest.mark.parametrize("payload", POISON.values(), ids=POISON)
def test_poison_is_dead_lettered_alone_with_its_bytes(lanes: LaneKit, payload: bytes) -> None:
    lanes.receive_many(["evt-1", "evt-2"])
    receipt = lanes.receive("evt-bad", payload=payload)
    lanes.receive_many(["evt-3", "evt-4"])
    report = lanes.drain()
    assert (report.outcome, report.settled.dead_count, report.batch_count) == ("emptied", 1, 1)
    assert committed() == ["evt-1", "evt-2", "evt-3", "evt-4"]
    letter = DeadLetter.objects.get()
    assert (letter.event_id, letter.message_id, letter.sequence) == (receipt.event_id, "evt-bad", receipt.sequence)
    assert bytes(letter.payload_bytes) == payload
    assert (letter.error_class, letter.state) == ("PoisonPayload", "open")
    assert letter.error
    assert Lane.objects.get().cursor == 5
    assert lanes.is_idle()
    assert_every_batch_is_proved()


@pytest.mark.parametrize("payload", POISON.values(), ids=POISON)
def test_poison_that_only_the_database_finds_is_dead_lettered_alone_too(
    lanes: LaneKit, payload: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Our own check is a short cut; without it PostgreSQL's refusal leads to the same end."""
    monkeypatch.setattr("ingestion.commit.why_unstorable", lambda _payload: None)
    names = [f"evt-{number}" for number in range(1, 10)]
    for name in names:
        lanes.receive(name, payload=payload if name == "evt-4" else None)
    report = lanes.drain()
    is_stored_by_postgres = payload in (POISON["1e400"], POISON["400 digits before the point"])
    if is_stored_by_postgres:  # a numeric has no such limit: only a reader that wants a float has
        assert committed() == names
        return
    assert report.outcome == "emptied"
    assert committed() == [name for name in names if name != "evt-4"]
    letter = DeadLetter.objects.get()
    assert (letter.message_id, bytes(letter.payload_bytes)) == ("evt-4", payload)
    assert letter.error_class != "PoisonPayload"
    assert lanes.is_idle()
    assert_every_batch_is_proved()


@pytest.mark.parametrize("payload", STORABLE.values(), ids=STORABLE)
def test_what_only_looks_like_poison_is_stored(lanes: LaneKit, payload: bytes) -> None:
    assert why_unstorable(payload) is None
    lanes.receive("evt-1", payload=payload)
    assert lanes.drain().settled.dead_count == 0
    with connection.cursor() as cursor:
        cursor.execute("SELECT payload = %s::jsonb FROM ingestion_event", [payload.decode()])
        assert cursor.fetchall() == [(True,)]


@pytest.mark.parametrize("bad", ["nul \x00", "surrogate \ud800"])
@pytest.mark.parametrize("column", ["message_id", "event_type", "key"])
def test_an_id_type_or_key_that_no_column_can_hold_is_a_dead_letter_however_often_it_is_sent(
    lanes: LaneKit, bad: str, column: str
) -> None:
    """Ids come from headers too. The sender retries; its duplicates and conflicts must not stop the lane either."""
    parts = {"message_id": "evt-bad", "event_type": "delivered", "key": "key-bad", column: bad}
    lane = delivery(event(**parts)).events[0].lane  # type: ignore[arg-type]
    lanes.append(delivery(event(**parts)))  # type: ignore[arg-type]
    lanes.append(delivery(event(**parts)))  # type: ignore[arg-type]
    lanes.append(delivery(event(**parts, payload=b'{"other":1}')))  # type: ignore[arg-type]
    lanes.receive("evt-1", lane=lane)
    report = lanes.drain(lane)
    assert report.outcome == "emptied"
    assert (report.settled.dead_count, report.settled.duplicate_count, report.settled.quarantined_count) == (1, 1, 1)
    assert committed(lane) == ["evt-1"]
    assert (SuppressedDuplicate.objects.count(), QuarantinedEvent.objects.count()) == (1, 1)
    assert "\\x00" in repr(
        getattr(DeadLetter.objects.get(), "ordering_key" if column == "key" else column)
    ) or "ud800" in repr(getattr(DeadLetter.objects.get(), "ordering_key" if column == "key" else column))
    assert_every_batch_is_proved()


def test_the_longest_id_and_type_fit_their_index(lanes: LaneKit) -> None:
    """PostgreSQL refuses an index row above 2.7 kB, for a dead letter as well, so the lane would stop for ever."""
    rng = random.Random(1)
    texts = ["".join(chr(rng.randrange(0x10000, 0x10FFFF)) for _ in range(512)) for _ in range(3)]
    lanes.append(delivery(event(texts[0], event_type=texts[1], lane=0)))
    lanes.append(delivery(event("nul \x00" + texts[0], event_type=texts[1], lane=0)))
    report = lanes.drain()
    assert (report.outcome, report.settled.stored_count, report.settled.dead_count) == ("emptied", 1, 1)
    row = Event.objects.get()
    assert row.message_id == short(texts[0])
    assert len(row.message_id.encode()) <= TEXT_LIMIT_BYTES


def test_many_refusals_at_once_stop_the_lane_and_bury_nothing(lanes: LaneKit, monkeypatch: pytest.MonkeyPatch) -> None:
    """So many are a fault of ours, such as a half-done deploy.

    Buried now, they would be stored a second time after it.
    """
    monkeypatch.setattr("ingestion.commit.why_unstorable", lambda _payload: None)
    count = DEATHS_LIMIT_COUNT + 1
    for number in range(count):
        lanes.receive(f"evt-{number}", payload=POISON["escaped NUL"])
        lanes.receive(f"good-{number}")
    for attempt in (1, 2):
        assert lanes.drain().outcome == "resting"
        assert lanes.buffer.peek(0).attempt == attempt
        assert (Event.objects.count(), DeadLetter.objects.count(), Batch.objects.count()) == (0, 0, 0)
        lanes.let_lease_expire()
    assert len(lanes.waiting()) == 2 * count
    monkeypatch.undo()  # the deploy is done
    assert lanes.drain().outcome == "emptied"
    assert (Event.objects.count(), DeadLetter.objects.count()) == (count, count)


def test_as_many_refusals_as_the_limit_are_buried_in_one_batch(lanes: LaneKit, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ingestion.commit.why_unstorable", lambda _payload: None)
    for number in range(DEATHS_LIMIT_COUNT):
        lanes.receive(f"evt-{number}", payload=POISON["lone high surrogate"])
        lanes.receive(f"good-{number}")
    assert lanes.drain().outcome == "emptied"
    batch = Batch.objects.get()
    assert (batch.event_count, batch.dead_count) == (DEATHS_LIMIT_COUNT, DEATHS_LIMIT_COUNT)
    assert_every_batch_is_proved()


def test_a_refusal_that_no_single_event_causes_stops_the_lane_instead_of_losing_one(
    lanes: LaneKit, monkeypatch: pytest.MonkeyPatch
) -> None:

    def only_one_at_a_time(model: object, rows: list[object]) -> int:
        if model is Event and len(rows) > 1:
            raise ValueError("two are too many")
        return insert_new(model, rows)  # type: ignore[arg-type]

    monkeypatch.setattr("ingestion.commit.insert_new", only_one_at_a_time)
    lanes.receive_many(["evt-1", "evt-2", "evt-3"])
    assert lanes.drain().outcome == "resting"
    assert (committed(), buried()) == ([], [])
    monkeypatch.undo()
    lanes.let_lease_expire()
    lanes.drain()
    assert committed() == ["evt-1", "evt-2", "evt-3"]


def test_a_poison_event_of_a_delivery_of_many_leaves_the_delivery_and_the_others_stored(lanes: LaneKit) -> None:
    parts = [event("evt-1"), event("evt-bad", payload=POISON["NaN"]), event("evt-2")]
    lanes.append(delivery(*parts, body=b"raw \x00 body"))
    lanes.drain()
    assert (committed(), buried()) == (["evt-1", "evt-2"], ["evt-bad"])
    assert bytes(Delivery.objects.get().body) == b"raw \x00 body"


# what somebody with access to Redis can do


def changed_payload(fields: Fields) -> Fields:
    return fields | {b"p": b'{"id":"evt-2","amount":1000000}'}


def changed_meta(fields: Fields) -> Fields:
    return fields | {b"m": fields[b"m"].replace(b"delivered", b"bounced")}


def garbage_meta(fields: Fields) -> Fields:
    return fields | {b"m": b"\xff not JSON"}


def meta_of_wrong_types(fields: Fields) -> Fields:
    meta = json.loads(fields[b"m"]) | {"received_us": "yesterday", "key": 17}
    return fields | {b"m": json.dumps(meta).encode()}


def meta_that_no_column_holds(fields: Fields) -> Fields:
    meta = json.loads(fields[b"m"]) | {"provider": "x" * 1_000, "received_us": 10**30}
    return fields | {b"m": json.dumps(meta).encode()}


def no_mac(fields: Fields) -> Fields:
    return {name: value for name, value in fields.items() if name != b"h"}


def unknown_kind(fields: Fields) -> Fields:
    return fields | {b"k": b"X"}


def impossible_time(fields: Fields) -> Fields:
    return fields | {b"t": b"9" * 40}


def foreign_fields(fields: Fields) -> Fields:
    return {b"hello": b"world"}


def duplicate_of_garbage(fields: Fields) -> Fields:
    return fields | {b"k": EntryKind.DUPLICATE.value, b"s": b"garbage"}


CHANGES = [
    changed_payload,
    changed_meta,
    garbage_meta,
    meta_of_wrong_types,
    meta_that_no_column_holds,
    no_mac,
    unknown_kind,
    impossible_time,
    foreign_fields,
    duplicate_of_garbage,
]


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.__name__)
def test_an_entry_changed_in_redis_is_a_dead_letter_with_its_bytes_and_stops_nothing(
    lanes: LaneKit, change: object
) -> None:
    lanes.receive_many(["evt-1", "evt-2", "evt-3"])
    lanes.rewrite(0, lambda sequence, fields: change(fields) if sequence == 2 else fields)  # type: ignore[operator]
    altered = lanes.raw()[1][1]
    report = lanes.drain()
    assert report.outcome == "emptied"
    assert committed() == ["evt-1", "evt-3"]
    letter = DeadLetter.objects.get()
    assert (letter.error_class, letter.lane, letter.sequence) == ("receipt_mismatch", 0, 2)
    kept = bytes(letter.payload_bytes)
    assert altered.get(b"p", b"world") in kept
    assert lanes.is_idle()
    assert_every_batch_is_proved()


def test_a_delivery_changed_in_redis_is_not_kept_as_evidence_and_its_event_is_stored(lanes: LaneKit) -> None:
    lanes.append(delivery(event("evt-1"), body=b"a form"))
    lanes.append(delivery(event("evt-2"), body=b"another form"))
    lanes.rewrite(
        0, lambda sequence, fields: fields | ({b"d": fields[b"d"].replace(b"form", b"text")} if sequence == 1 else {})
    )
    lanes.drain()
    assert committed() == ["evt-1", "evt-2"]
    assert [bytes(row.body) for row in Delivery.objects.all()] == [b"another form"]


def test_the_letters_of_one_cause_share_a_fingerprint(lanes: LaneKit) -> None:
    lanes.receive("evt-1", payload=b'{"a":"x\\u0000"}')
    lanes.receive("evt-2", payload=b'{"b":"y\\u0000"}')
    lanes.receive("evt-3", payload=POISON["NaN"])
    lanes.drain()
    by_name = dict(DeadLetter.objects.values_list("message_id", "fingerprint"))
    assert by_name["evt-1"] == by_name["evt-2"] != by_name["evt-3"]
