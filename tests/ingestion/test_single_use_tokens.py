"""Mailgun's events are not signed, only a token is: each token proves one event, and never another one."""

from __future__ import annotations

import hashlib
import hmac
import json
from typing import Any

import pytest

from ingestion import accept
from ingestion.buffer.append import AppendLimits
from ingestion.buffer.store import LaneBuffer
from ingestion.models import Event, QuarantinedEvent
from tests.support.ingress import Answer
from tests.support.lanes import LANES, LaneKit, delivery, event
from tests.support.schemes import SCHEMES, Request, add_provider, load_book

pytestmark = [pytest.mark.urls("autocom.ingress_urls"), pytest.mark.django_db(transaction=True)]
MAILGUN = SCHEMES["mailgun"]


@pytest.fixture(autouse=True)
def _mailgun(buffer: LaneBuffer, monkeypatch: pytest.MonkeyPatch) -> None:
    add_provider(MAILGUN)
    load_book(monkeypatch)


def signed(event_id: str = "evt_1", **changes: Any) -> Request:
    return MAILGUN.request(json.dumps({**json.loads(MAILGUN.event), "id": event_id, **changes}).encode())


def with_other_event(captured: Request, event_id: str) -> Request:
    """The signature of one request around the event of another."""
    body = json.loads(captured.body)
    body["event-data"] = {**body["event-data"], "id": event_id}
    return Request(headers=captured.headers, body=json.dumps(body).encode(), path=captured.path)


def drain(lanes: LaneKit) -> None:
    for lane in range(LANES):
        lanes.drain(lane)


def said(answer: Answer) -> tuple[int, str]:
    return answer.status, answer.json()["status"] if answer.status == 200 else answer.code


def test_a_captured_signature_around_another_event_is_refused_for_good_and_kept_for_a_person(lanes: LaneKit) -> None:
    first = signed()
    assert said(first.send()) == (200, "accepted")
    assert said(with_other_event(first, "evt_forged").send()) == (406, "token_reused")
    assert said(first.send()) == (200, "duplicate")
    drain(lanes)
    (stored,), (kept,) = Event.objects.all(), QuarantinedEvent.objects.all()
    assert stored.message_id.startswith("evt_1")
    assert kept.message_id.startswith("evt_forged")
    assert kept.original_event_id == stored.id  # the event that the token proved


def test_the_real_event_is_taken_after_a_forgery_of_it(lanes: LaneKit) -> None:
    first = signed("evt_1")
    first.send()
    assert said(with_other_event(first, "evt_2").send()) == (406, "token_reused")
    assert said(signed("evt_2").send()) == (200, "accepted")
    drain(lanes)
    assert Event.objects.count() == 2


def test_a_retry_that_is_signed_anew_is_a_duplicate_and_its_token_proves_nothing_else(lanes: LaneKit) -> None:
    assert said(signed().send()) == (200, "accepted")
    again = signed()
    body = json.loads(again.body)
    body["signature"] = signature_of(body["signature"]["timestamp"], "f" * 50)
    anew = Request(headers=again.headers, body=json.dumps(body).encode(), path=again.path)
    assert said(anew.send()) == (200, "duplicate")
    assert said(with_other_event(anew, "evt_forged").send()) == (406, "token_reused")


def signature_of(timestamp: str, token: str) -> dict[str, str]:
    digest = hmac.new(MAILGUN.secret.encode(), (timestamp + token).encode(), hashlib.sha256).hexdigest()
    return {"timestamp": timestamp, "token": token, "signature": digest}


def test_a_full_lane_uses_up_no_token(monkeypatch: pytest.MonkeyPatch) -> None:
    first = signed()
    with monkeypatch.context() as meanwhile:
        meanwhile.setattr(
            accept,
            "append_limits",
            lambda: AppendLimits(lane_bound_count=0, lane_bound_bytes=1, seen_bound_count=1_000_000),
        )
        assert said(first.send()) == (503, "lane_full")
    assert said(first.send()) == (200, "accepted")


def test_a_token_for_several_events_is_refused_before_redis_is_asked(lanes: LaneKit) -> None:
    with pytest.raises(ValueError, match="vouches for one event, not 2"):
        lanes.words(delivery(event("evt-1"), event("evt-2"), token_sha256=b"t"))
