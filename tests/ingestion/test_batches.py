"""POSTs of many events through the real view, lanes and drain: each event accepted or refused for itself."""

from __future__ import annotations

import json
from collections import Counter
from statistics import mean

import pytest

from autocom.kernel.ids import EVENTS_PER_DELIVERY_LIMIT
from ingestion import accept
from ingestion.buffer.append import AppendLimits
from ingestion.buffer.store import LaneBuffer
from ingestion.models import Delivery, Event, SuppressedDuplicate
from tests.providers.requests import fixtures
from tests.support.ingress import Answer
from tests.support.lanes import LANES, LaneKit, assert_every_batch_is_proved
from tests.support.schemes import SCHEMES, Request, add_provider, load_book

pytestmark = [pytest.mark.urls("autocom.ingress_urls"), pytest.mark.django_db(transaction=True)]
PEOPLE_COUNT = 40


@pytest.fixture(autouse=True)
def _providers(buffer: LaneBuffer, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("sendgrid", "mandrill"):
        add_provider(SCHEMES[name])
    load_book(monkeypatch)


def sendgrid_events(count: int) -> list[dict[str, object]]:
    return [
        {
            "event": "delivered",
            "email": f"person-{number % PEOPLE_COUNT}@example.com",
            "timestamp": 1_764_068_280 + number,
            "sg_event_id": f"{number:022}",
            "sg_message_id": "14c5d75ce93.dfd.64b469.filter0001.16648.5515E0B88.0",
        }
        for number in range(count)
    ]


def sendgrid(count: int) -> Request:
    return SCHEMES["sendgrid"].request(json.dumps(sendgrid_events(count), separators=(",", ":")).encode())


def mandrill(count: int) -> Request:
    message = {"email": "ada@example.com"}
    events = [{"event": "send", "_id": f"m{number}", "ts": 1_764_068_280, "msg": message} for number in range(count)]
    return SCHEMES["mandrill"].request(json.dumps(events).encode())


def drain(lanes: LaneKit) -> None:
    for lane in range(LANES):
        lanes.drain(lane)


def told(answer: Answer) -> tuple[int, int, int]:
    found = answer.json()
    return answer.status, found["events"], found.get("duplicates", 0)


def assert_each_person_s_events_are_in_order() -> None:
    """Of SendGrid's: as they stood in the POST, whatever lanes they rode."""
    times: dict[str, list[int]] = {}
    for (payload,) in Event.objects.filter(provider="sendgrid").order_by("batch_id", "sequence").values_list("payload"):
        assert payload is not None
        times.setdefault(payload["email"], []).append(payload["timestamp"])
    assert [person for person, found in times.items() if found != sorted(found)] == []


@pytest.mark.parametrize(
    ("request_of", "status", "count"),
    [(sendgrid, 202, 1_000), (mandrill, 200, 1_000), (sendgrid, 202, EVENTS_PER_DELIVERY_LIMIT)],
    ids=["1000 of SendGrid", "1000 of Mandrill", "as many as an event id can count"],
)
def test_the_largest_batches_are_stored_whole_in_order_and_once(
    request_of: object, status: int, count: int, lanes: LaneKit
) -> None:
    assert callable(request_of)
    sent: Request = request_of(count)
    assert told(sent.send()) == (status, count, 0)
    assert told(sent.send()) == (status, count, count)
    drain(lanes)
    assert Event.objects.count() == Event.objects.values("identity").distinct().count() == count
    assert SuppressedDuplicate.objects.count() == count
    assert_each_person_s_events_are_in_order()
    assert_every_batch_is_proved()


def test_a_batch_of_sendgrid_s_largest_size_has_no_more_events_than_an_id_can_count() -> None:
    recorded = [event for body, _ in fixtures("sendgrid") for event in json.loads(body) if "sg_message_id" in event]
    mean_bytes = mean(len(json.dumps(event, separators=(",", ":"))) for event in recorded)
    assert 786_432 / mean_bytes < EVENTS_PER_DELIVERY_LIMIT


@pytest.mark.parametrize("request_of", [sendgrid, mandrill])
def test_a_batch_above_the_limit_is_refused_with_the_limit_and_nothing_of_it_is_stored(
    request_of: object, buffer: LaneBuffer
) -> None:
    assert callable(request_of)
    answer: Answer = request_of(EVENTS_PER_DELIVERY_LIMIT + 1).send()
    assert (answer.status, answer.code) == (422, "body_invalid")
    assert "1 to 4096 events" in answer.json()["detail"]
    assert buffer.client.keys("*") == []


def test_a_batch_that_found_a_lane_full_ends_complete_when_it_comes_again_and_nothing_is_doubled(
    lanes: LaneKit, monkeypatch: pytest.MonkeyPatch
) -> None:
    full = 2
    lanes.receive_many([f"earlier-{number}" for number in range(20)], lane=full)
    monkeypatch.setattr(
        accept,
        "append_limits",
        lambda: AppendLimits(lane_bound_count=400, lane_bound_bytes=10**9, seen_bound_count=1_000_000),
    )
    lanes.receive_many([f"more-{number}" for number in range(380)], lane=full)
    sent = sendgrid(1_000)
    refused = sent.send()
    found = refused.json()
    assert (refused.status, refused.code, found["events"]) == (503, "lane_full", 1_000)
    assert 0 < found["refused"] < 1_000
    accepted_count = 1_000 - found["refused"]
    waiting = Counter(lane for lane in range(LANES) for _ in lanes.waiting(lane))
    assert waiting[full] == 400
    assert waiting.total() == 400 + accepted_count
    assert sent.send().status == 503  # the lane is still full: again nothing of what was refused is stored
    drain(lanes)
    assert told(sent.send()) == (202, 1_000, accepted_count)
    drain(lanes)
    assert Event.objects.filter(provider="sendgrid").count() == 1_000
    assert Event.objects.filter(provider="default").count() == 400
    assert_each_person_s_events_are_in_order()
    assert Delivery.objects.filter(provider="sendgrid", event_count=1_000).count() == 3  # each POST's body, once
    assert_every_batch_is_proved()
