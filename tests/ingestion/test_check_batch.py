"""Rows that somebody changed, removed or added are found and named; what nobody touched gives no finding."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.db.models import F

from autocom.kernel.ids import request_id_of
from ingestion.buffer import keys
from ingestion.buffer.store import LaneBuffer
from ingestion.check_batch import RowFinding, check_batch, check_batches, stray_rows
from ingestion.models import (
    Batch,
    BatchLeaves,
    DeadLetter,
    Delivery,
    Event,
    Provider,
    QuarantinedEvent,
    SetAsideAttempt,
    SetAsideState,
)
from tests.support.ageing import age
from tests.support.lanes import LANES, LaneKit, delivery, event
from tests.support.redrives import dead, retry
from tests.support.schemes import SCHEMES, add_provider, load_book

pytestmark = [pytest.mark.urls("autocom.ingress_urls"), pytest.mark.django_db(transaction=True)]

POISON = b'{"a":"\\u0000"}'


@pytest.fixture(autouse=True)
def _providers(buffer: LaneBuffer, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in SCHEMES:
        add_provider(SCHEMES[name])
    load_book(monkeypatch)


def drain(lanes: LaneKit) -> None:
    for lane in range(LANES):
        lanes.drain(lane)


def checked() -> list[RowFinding]:
    return [*check_batches(Batch.objects.order_by("number")), *stray_rows()]


def told() -> set[tuple[str, str]]:
    return {(finding.fault, finding.where) for finding in checked()}


def sendgrid(count: int, *, first: int = 0) -> bytes:
    events = [
        {
            "event": "delivered",
            "email": f"person-{number}@example.com",
            "timestamp": 1_764_068_280 + number,
            "sg_event_id": f"{number:022}",
            "sg_message_id": "14c5d75ce93.dfd.64b469.filter0001.16648.5515E0B88.0",
            "share": 0.1,
        }
        for number in range(first, first + count)
    ]
    return json.dumps(events).encode()


def post(lanes: LaneKit, body: bytes, *, scheme: str = "sendgrid") -> UUID:
    """The request id of a delivery that is committed now."""
    answer = SCHEMES[scheme].request(body).send()
    assert answer.status in range(200, 300), answer
    drain(lanes)
    return Delivery.objects.latest("request_id").pk


def mixture(lanes: LaneKit, monkeypatch: pytest.MonkeyPatch) -> None:
    """A bit of everything, on all lanes, in several batches."""
    post(lanes, sendgrid(100))
    post(lanes, sendgrid(100))  # a hundred duplicates
    for name, scheme in SCHEMES.items():
        post(lanes, scheme.event, scheme=name)
    lanes.receive("evt-1")
    lanes.append(delivery(event("evt-1")))
    lanes.append(delivery(event("evt-1", payload=b'{"other":1}')))
    lanes.append(delivery(event("evt-2"), event("evt-3", lane=1), event("evt-bad", payload=POISON), body=b"a form"))
    lanes.receive("evt-numbers", payload=b'{"id":"evt-numbers","a":1e23,"b":-0.0,"c":1.50,"d":12345678901234567890}')
    drain(lanes)
    lanes.buffer.client.delete(*lanes.buffer.client.keys(keys.TAG + b"seen:*"))
    lanes.receive("evt-1")  # late
    lanes.append(delivery(event("evt-1", payload=b'{"late":1}')))
    drain(lanes)
    for lane in (0, 1):
        (receipt,) = dead(lanes, monkeypatch, f"evt-again-{lane}", lane=0)
        retry(receipt.event_id)
        lanes.drain()
    lanes.receive("evt-forged")
    lanes.rewrite(0, lambda _, fields: fields | {b"p": b'{"forged":1}'})
    drain(lanes)


def test_a_mixture_that_nobody_touched_gives_no_finding(lanes: LaneKit, monkeypatch: pytest.MonkeyPatch) -> None:
    mixture(lanes, monkeypatch)
    assert checked() == []
    assert Event.objects.count() > 100
    DeadLetter.objects.filter(state=SetAsideState.OPEN).update(state=SetAsideState.DISCARDED)
    QuarantinedEvent.objects.update(state=SetAsideState.DISCARDED)
    age(days=31)
    assert checked() == []
    assert not DeadLetter.objects.exists()
    assert not QuarantinedEvent.objects.exists()
    age(days=91)
    assert checked() == []
    assert not Event.objects.exists()


def test_a_delivery_whose_first_event_still_waits_is_not_missing(lanes: LaneKit) -> None:
    sent = delivery(event("evt-1", lane=0), event("evt-2", lane=1), body=b"a form")
    lanes.append(sent)
    lanes.drain(1)
    assert not Delivery.objects.exists()
    assert checked() == []
    lanes.drain(0)
    assert checked() == []
    Delivery.objects.all().delete()
    assert told() == {("missing", f"delivery {sent.request_id}")}


COLUMNS: dict[str, Any] = {
    "provider": "other",
    "message_id": "another",
    "event_type": "another",
    "ordering_key": "another",
    "identity": bytes(32),
    "recipe": "sendgrid/9",
    "body_sha256": bytes(32),
    "content_sha256": bytes(32),
    "received_at": F("received_at") + timedelta(microseconds=1),
    "occurred_at": None,
    "kind": "opened",
    "payload": {"event": "delivered"},
    "redriven_at": F("accepted_at"),
}


@pytest.mark.parametrize("column", COLUMNS)
@pytest.mark.parametrize("count", [1, 100])
def test_a_changed_column_of_an_event_is_found(lanes: LaneKit, column: str, count: int) -> None:
    post(lanes, sendgrid(count))
    row = Event.objects.order_by("pk")[count // 2]
    Event.objects.filter(pk=row.pk).update(**{column: COLUMNS[column]})
    where = f"delivery {request_id_of(row.pk)}" if column == "received_at" else f"event {row.pk}"
    assert told() == {("changed", where)}


@pytest.mark.parametrize("column", ["accepted_at", "epoch", "lane", "sequence"])
def test_a_changed_place_or_time_of_acceptance_is_found_at_its_batch(lanes: LaneKit, column: str) -> None:
    lanes.receive_many(["evt-1", "evt-2", "evt-3"])
    lanes.drain()
    by = timedelta(microseconds=1) if column == "accepted_at" else 1
    Event.objects.filter(message_id="evt-2").update(**{column: F(column) + by})
    where = f"batch {Batch.objects.get().number}"
    expected = {("changed", where)} if column in ("accepted_at", "sequence") else {("missing", where)}
    if column in ("epoch", "lane"):
        expected.add(("unexpected", f"event {Event.objects.get(message_id='evt-2').pk}"))
    assert told() == expected


TAMPERED_PAYLOADS = {
    "a number for true": (b'{"id":"x","paid":true}', {"id": "x", "paid": 1}),
    "a digit that no double holds": (b'{"id":"x","a":0.12345678901234567890}', '{"id":"x","a":0.12345678901234567891}'),
    "another text": (b'{"id":"x","a":"1"}', {"id": "x", "a": 1}),
    "nothing": (b'{"id":"x"}', None),
}


@pytest.mark.parametrize(("sent", "becomes"), TAMPERED_PAYLOADS.values(), ids=TAMPERED_PAYLOADS)
def test_a_changed_payload_is_found_by_value(lanes: LaneKit, sent: bytes, becomes: Any) -> None:
    lanes.receive("x", payload=sent)
    lanes.drain()
    assert checked() == []
    Event.objects.update(payload=becomes)
    assert told() == {("changed", f"event {Event.objects.get().pk}")}


def test_a_payload_that_came_back_after_it_aged_out_is_found(lanes: LaneKit) -> None:
    lanes.receive("evt-1")
    lanes.drain()
    age(days=31)
    Event.objects.update(payload={"id": "evt-1"})
    assert told() == {("changed", f"event {Event.objects.get().pk}")}


def test_two_exchanged_payloads_are_both_found(lanes: LaneKit) -> None:
    request_id = post(lanes, sendgrid(5))
    first, second = Event.objects.order_by("pk")[:2]
    Event.objects.filter(pk=first.pk).update(payload=second.payload)
    Event.objects.filter(pk=second.pk).update(payload=first.payload)
    assert request_id_of(first.pk) == request_id
    assert told() == {("changed", f"event {first.pk}"), ("changed", f"event {second.pk}")}


def test_two_exchanged_places_are_found(lanes: LaneKit) -> None:
    lanes.receive_many(["evt-1", "evt-2"])
    lanes.drain()
    for row, sequence in zip(Event.objects.order_by("sequence"), (2, 1), strict=True):
        Event.objects.filter(pk=row.pk).update(sequence=sequence)
    assert told() == {("changed", f"batch {Batch.objects.get().number}")}


def test_a_removed_event_is_missing_and_its_sequence_is_said(lanes: LaneKit) -> None:
    lanes.receive_many(["evt-1", "evt-2", "evt-3"])
    lanes.drain()
    Event.objects.filter(message_id="evt-2").delete()
    (finding,) = checked()
    assert (finding.fault, finding.where) == ("missing", f"batch {Batch.objects.get().number}")
    assert "sequence 2" in finding.what


def test_an_added_event_is_named(lanes: LaneKit) -> None:
    lanes.receive_many(["evt-1", "evt-2"])
    lanes.drain()
    row = Event.objects.latest("sequence")
    row.pk, row.identity = uuid4(), bytes(32)
    row.save(force_insert=True)
    assert told() == {("unexpected", f"event {row.pk}")}


def test_an_event_that_takes_the_place_of_another_is_found(lanes: LaneKit) -> None:
    lanes.receive_many(["evt-1", "evt-2"])
    lanes.drain()
    Event.objects.filter(message_id="evt-2").update(id=uuid4())
    assert ("changed", f"batch {Batch.objects.get().number}") in told()


def change_body(request_id: UUID) -> None:
    row = Delivery.objects.get(pk=request_id)
    Delivery.objects.filter(pk=request_id).update(body=bytes(row.body).replace(b"person-1@", b"nobody-1@"))


def change_body_and_digest(request_id: UUID) -> None:
    from autocom.kernel.digest import sha256

    change_body(request_id)
    body = bytes(Delivery.objects.get(pk=request_id).body)
    Delivery.objects.filter(pk=request_id).update(body_sha256=sha256(body))


DELIVERY_CHANGES: dict[str, Callable[[UUID], Any]] = {
    "body": change_body,
    "body and digest": change_body_and_digest,
    "digest": lambda pk: Delivery.objects.filter(pk=pk).update(body_sha256=bytes(32)),
    "provider": lambda pk: Delivery.objects.filter(pk=pk).update(provider="other"),
    "time": lambda pk: Delivery.objects.filter(pk=pk).update(received_at=F("received_at") + timedelta(seconds=1)),
    "count": lambda pk: Delivery.objects.filter(pk=pk).update(event_count=2),
}


@pytest.mark.parametrize("change", DELIVERY_CHANGES.values(), ids=DELIVERY_CHANGES)
def test_a_changed_delivery_is_found_and_no_event_is_blamed(lanes: LaneKit, change: Callable[[UUID], Any]) -> None:
    request_id = post(lanes, sendgrid(3))
    change(request_id)
    assert told() == {("changed", f"delivery {request_id}")}


def test_a_removed_delivery_is_missing(lanes: LaneKit) -> None:
    request_id = post(lanes, sendgrid(3))
    Delivery.objects.all().delete()
    assert told() == {("missing", f"delivery {request_id}")}


def test_a_delivery_that_was_changed_in_redis_is_missing(lanes: LaneKit) -> None:
    sent = delivery(event("evt-1"), body=b"a form")
    lanes.append(sent)
    lanes.rewrite(0, lambda _, fields: fields | {b"d": fields[b"d"].replace(b"form", b"text")})
    lanes.drain()
    assert told() == {("missing", f"delivery {sent.request_id}")}


@pytest.mark.parametrize("is_forged", [False, True])
def test_changed_bytes_of_a_dead_letter_are_found(lanes: LaneKit, is_forged: bool) -> None:
    lanes.receive("evt-bad", payload=POISON)
    if is_forged:
        lanes.rewrite(0, lambda _, fields: fields | {b"p": b'{"forged":1}'})
    lanes.drain()
    assert checked() == []
    DeadLetter.objects.update(payload_bytes=b'{"a":"other"}')
    assert told() == {("changed", f"dead letter {DeadLetter.objects.get().pk}")}


def quarantine(lanes: LaneKit) -> QuarantinedEvent:
    lanes.receive("evt-1")
    lanes.append(delivery(event("evt-1", payload=b'{"other":1}')))
    lanes.drain()
    assert checked() == []
    return QuarantinedEvent.objects.get()


@pytest.mark.parametrize("column", ["payload_bytes", "content_sha256", "message_id"])
def test_a_changed_quarantined_event_is_found(lanes: LaneKit, column: str) -> None:
    aside = quarantine(lanes)
    value = {"message_id": "evt-9"}.get(column, b'{"other":2}')
    QuarantinedEvent.objects.update(**{column: value})
    faults = {finding.fault for finding in checked()}
    assert faults == {"changed"}
    if column != "message_id":
        assert told() == {("changed", f"quarantined event {aside.pk}")}


@pytest.mark.parametrize("model", [DeadLetter, QuarantinedEvent])
def test_a_removed_row_aside_is_missing(lanes: LaneKit, model: Any) -> None:
    lanes.receive("evt-bad", payload=POISON)
    quarantine(lanes)
    model.objects.all().delete()
    assert told() == {("missing", f"batch {Batch.objects.get().number}")}


def test_a_batch_of_before_the_leaves_of_quarantined_events_proves_itself(lanes: LaneKit) -> None:
    quarantine(lanes)
    from tests.support.lanes import root_of_rows

    Batch.objects.update(leaf_format=1)
    batch = Batch.objects.get()
    Batch.objects.update(merkle_root=root_of_rows(batch))
    assert checked() == []
    QuarantinedEvent.objects.all().delete()  # as retention did, which left nothing of them
    assert checked() == []


def test_a_redriven_event_with_another_origin_is_found(lanes: LaneKit, monkeypatch: pytest.MonkeyPatch) -> None:
    (receipt,) = dead(lanes, monkeypatch, "evt-1")
    retry(receipt.event_id)
    lanes.drain()
    assert checked() == []
    for change in ({"redriven_from_sequence": 9}, {"redriven_at": F("accepted_at")}, {"redriven_at": None}):
        before = Event.objects.values("redriven_from_sequence", "redriven_at").get()
        Event.objects.update(**change)
        assert told() == {("changed", f"event {receipt.event_id}")}
        Event.objects.update(**before)
    assert SetAsideAttempt.objects.exists()


def test_rows_against_kept_leaves(lanes: LaneKit) -> None:
    lanes.receive_many(["evt-1", "evt-2"])
    lanes.receive("evt-bad", payload=POISON)
    lanes.drain()
    DeadLetter.objects.update(state=SetAsideState.DISCARDED)
    age(days=31)
    assert BatchLeaves.objects.exists()
    assert checked() == []
    row = Event.objects.earliest("sequence")
    Event.objects.filter(pk=row.pk).update(message_id="evt-9")
    assert told() == {("changed", f"event {row.pk}")}
    Event.objects.filter(pk=row.pk).delete()
    assert told() == {("missing", f"batch {Batch.objects.get().number}")}
    BatchLeaves.objects.update(hashes=bytes(96))
    assert told() == {("changed", f"batch {Batch.objects.get().number}")}


def test_leaves_that_were_removed_after_their_events_aged_out_are_missing(lanes: LaneKit) -> None:
    lanes.receive("evt-1")
    lanes.drain()
    age(days=31)
    age(days=91)
    BatchLeaves.objects.all().delete()
    assert told() == {("missing", f"batch {Batch.objects.get().number}")}


def test_a_provider_that_was_removed_or_changed_since_gives_no_finding(lanes: LaneKit) -> None:
    post(lanes, sendgrid(3))
    post(lanes, SCHEMES["github"].event, scheme="github")
    Provider.objects.filter(name="github").delete()
    Provider.objects.update(scheme="generic", options={"id_path": "nothing"})
    assert checked() == []


def test_many_batches_take_as_many_queries_as_one(lanes: LaneKit, django_assert_max_num_queries: Any) -> None:
    for number in range(12):
        lanes.receive(f"evt-{number}", lane=0)
        lanes.drain()
    batches = list(Batch.objects.all())
    assert len(batches) == 12
    with django_assert_max_num_queries(8):
        assert check_batch(batches[0]) == []
    with django_assert_max_num_queries(8):
        assert list(check_batches(batches)) == []
