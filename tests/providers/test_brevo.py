"""Brevo against django-anymail for what it reads in an event; the credential is the one that Postmark's tests judge."""

from __future__ import annotations

from typing import Any

import pytest
from anymail.webhooks.brevo import BrevoTrackingWebhookView
from hypothesis import given
from hypothesis import strategies as st

from ingestion.providers import brevo
from ingestion.providers.adapter import BodyInvalid, IdentifiedEvent, Kind, Reason
from tests.providers.anymail_judge import anymail_accepts, anymail_reads
from tests.providers.oracles.anymail_kinds import KIND_OF
from tests.providers.requests import (
    Sent,
    Spoiling,
    accepts,
    basic,
    bounded,
    event_of,
    events_of,
    fixtures,
    identities,
    json_values,
    malformed,
    never_raises_anything_else,
    posted_json,
    refusal,
    secret,
    signed,
    spoilings,
    verified_by,
)

KEY = "brevo:a-password-of-24-chars"
TOKEN = "a-bearer-token-0123456789"
JSON = {"content-type": "application/json"}
CLICK = {
    "event": "click",
    "email": "ada@example.com",
    "id": 26224,
    "message-id": "<1@example.com>",
    "ts_event": 1_764_583_200,
    "ts_epoch": 1_764_583_199_123,
    "link": "https://example.com/a",
}


def anymail_event(body: bytes) -> Any:
    """The one event that anymail reads in the body."""
    (event,) = anymail_reads(BrevoTrackingWebhookView, Sent(headers=JSON, body=body), webhook_secret=KEY)
    return event


# --- the credential and the answers ---


@bounded
@given(spoil=spoilings(["authorization"]))
def test_no_spoilt_basic_credential_passes_here_that_anymail_refuses(spoil: Spoiling) -> None:
    sent = spoil(posted_json(CLICK, authorization=basic(KEY)))
    assert accepts(brevo, sent, keys=[KEY]) <= anymail_accepts(BrevoTrackingWebhookView, sent, webhook_secret=KEY)
    intact = sent.lowered().get("authorization") == basic(KEY)
    assert accepts(brevo, sent, keys=[KEY]) or not intact


def test_basic_credentials_and_bearer_tokens_rotate_side_by_side() -> None:
    for key in (KEY, TOKEN):
        sent = signed(brevo, b"{}", key=key)
        assert verified_by(brevo, sent, keys=[KEY, TOKEN]) == secret(key)
    assert refusal(brevo, posted_json(CLICK), keys=[KEY, TOKEN]) is Reason.MISSING_HEADER
    assert refusal(brevo, posted_json(CLICK, authorization="Bearer x"), keys=[KEY, TOKEN]) is Reason.WRONG_CREDENTIAL


def test_busy_is_429_since_brevo_discards_after_any_5xx() -> None:
    assert brevo.ACK.busy_status == 429
    assert brevo.ACK.success_status == 200


# --- events ---


def event(value: dict[str, Any]) -> Any:
    return event_of(brevo, posted_json(value))


@pytest.mark.parametrize(
    "change",
    [
        {"event": "opened"},
        {"email": "bob@example.net"},
        {"message-id": "<2@example.com>"},
        {"ts_event": 1_764_583_201},
        {"ts_epoch": 1_764_583_199_124},
        {"link": "https://example.com/b"},
    ],
)
def test_opens_and_clicks_that_differ_are_events_of_their_own(change: dict[str, object]) -> None:
    assert len(identities([event(CLICK), event({**CLICK, **change})])) == 2
    assert event(CLICK).message_id != event({**CLICK, **change}).message_id


def test_the_number_of_the_webhook_is_not_the_event_s_but_shows_in_the_digest() -> None:
    other = event({**CLICK, "id": 1})
    assert other.identity_fields == event(CLICK).identity_fields
    assert other.content_sha256 != event(CLICK).content_sha256


def test_an_event_is_the_same_alone_and_in_a_batch() -> None:
    alone, batched = event(CLICK), events_of(brevo, posted_json([{"event": "opened"}, CLICK]))[1]
    assert alone.identity_fields == batched.identity_fields
    assert alone.content_sha256 == batched.content_sha256


def test_a_batch_of_500_is_500_events_in_order_and_a_retry_the_same_500() -> None:
    batch = [{**CLICK, "ts_event": 1_764_583_200 + number} for number in range(500)]
    first, again = (events_of(brevo, posted_json(batch)) for _ in range(2))
    assert [one.occurred_us for one in first] == [(1_764_583_200 + number) * 1_000_000 for number in range(500)]
    assert len(identities(first)) == 500
    assert identities(first) == identities(again)


@pytest.mark.parametrize("count", [0, 1_001])
def test_an_empty_or_oversize_batch_is_invalid(count: int) -> None:
    with pytest.raises(BodyInvalid, match="1 to 1000"):
        events_of(brevo, posted_json([CLICK] * count))


def test_events_without_a_message_s_id_are_told_apart_by_their_content() -> None:
    unsubscribed = [{"event": "unsubscribe", "email": "ada@example.com", "camp_id": number} for number in (1, 2, 1)]
    assert len(identities(events_of(brevo, posted_json(unsubscribed)))) == 2


def test_no_address_stands_in_keys_that_are_shown_unmasked() -> None:
    for value in (CLICK, {"event": "unsubscribe", "email": "ada@example.com"}):
        assert "ada@example.com" not in event(value).ordering_key + event(value).message_id
    assert "email" in brevo.PERSONAL_PATHS


def test_what_happens_to_one_message_of_one_recipient_is_in_one_order() -> None:
    assert event(CLICK).ordering_key == event({**CLICK, "event": "opened", "ts_event": 1}).ordering_key
    assert event(CLICK).ordering_key != event({**CLICK, "email": "bob@example.net"}).ordering_key


def test_anymail_reads_the_same_kind_in_every_event_of_email() -> None:
    found: list[IdentifiedEvent] = []
    for body, _ in fixtures("brevo"):
        sent = Sent(headers={**JSON, "authorization": basic(KEY)}, body=body)
        assert accepts(brevo, sent, keys=[KEY])
        found += events_of(brevo, sent)
    assert len(identities(found)) == len(found) == 15
    emails = [one for one in found if b"message-id" in one.payload]
    assert len(emails) == 13
    for one in emails:
        assert one.kind is KIND_OF[anymail_event(one.payload).event_type]
        assert one.event_type == anymail_event(one.payload).esp_event["event"]
    assert [one.kind for one in found[-2:]] == [Kind.DELIVERED, Kind.MESSAGE]


@bounded
@given(elements=st.lists(json_values, min_size=1, max_size=5))
def test_any_elements_of_a_batch_become_as_many_events(elements: list[object]) -> None:
    assert len(events_of(brevo, posted_json(elements))) == len(elements)


def test_what_is_neither_object_nor_array_is_invalid_and_a_deep_one_kept() -> None:
    for value in (1, None, "x"):
        with pytest.raises(BodyInvalid):
            events_of(brevo, posted_json(value))
    assert event_of(brevo, Sent(headers=JSON, body=b"[" * 100_000 + b"]" * 100_000)).event_type == "unreadable"


@bounded
@given(sent=malformed(["authorization"], near=[basic(KEY), "Basic ", "Bearer x"]))
def test_no_request_raises_anything_but_the_adapters_errors(sent: Sent) -> None:
    never_raises_anything_else(brevo, sent, keys=[KEY])
