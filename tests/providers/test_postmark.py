"""Postmark against django-anymail: its Basic authentication, and what it reads in an event."""

from __future__ import annotations

import base64
import binascii
import json
from typing import Any

import pytest
from anymail.webhooks.postmark import PostmarkTrackingWebhookView
from hypothesis import given

from autocom.kernel.errors import ConfigurationError
from ingestion.providers import postmark
from ingestion.providers.adapter import BodyInvalid, ContentTypeUnsupported, IdentifiedEvent, Kind, Reason
from tests.providers.anymail_judge import anymail_accepts, anymail_reads
from tests.providers.oracles.anymail_kinds import KIND_OF
from tests.providers.requests import (
    Sent,
    Spoiling,
    accepts,
    basic,
    bounded,
    event_of,
    fixtures,
    identities,
    malformed,
    never_raises_anything_else,
    posted_json,
    refusal,
    secret,
    signed,
    spoilings,
    verified_by,
)

KEY = "postmark:a-password-of-24-chars"
OLD_KEY = "postmark:the-password-before"
TOKEN = "a-token-in-a-header-0123"
JSON = {"content-type": "application/json"}
OPEN = {
    "RecordType": "Open",
    "MessageID": "883953f4-6105-42a2-a16a-77a8eac79483",
    "ServerID": 23,
    "Recipient": "ada@example.com",
    "ReceivedAt": "2025-12-31T23:59:00.4951235Z",
}
BOUNCE = {
    "RecordType": "Bounce",
    "ID": 42,
    "Type": "HardBounce",
    "ServerID": 23,
    "MessageID": "883953f4-6105-42a2-a16a-77a8eac79483",
    "Email": "ada@example.com",
    "BouncedAt": "2025-12-31T23:59:00Z",
}


def anymail_event(body: bytes) -> Any:
    """The one event that anymail reads in the body."""
    (event,) = anymail_reads(PostmarkTrackingWebhookView, Sent(headers=JSON, body=body), webhook_secret=KEY)
    return event


# --- the credential ---


@bounded
@given(spoil=spoilings(["authorization"]), again=spoilings(["authorization"]))
def test_our_verdict_on_spoilt_basic_credentials_is_that_of_anymail(spoil: Spoiling, again: Spoiling) -> None:
    sent = again(spoil(posted_json(OPEN, authorization=basic(KEY))))
    ours, theirs = (
        accepts(postmark, sent, keys=[KEY]),
        anymail_accepts(PostmarkTrackingWebhookView, sent, webhook_secret=KEY),
    )
    assert ours <= theirs
    assert ours == theirs or not canonical(sent.lowered()["authorization"])


def canonical(header: str) -> bool:
    """One space, and base64 in its only spelling: anymail takes more, as the next test shows."""
    scheme, _, encoded = header.partition(" ")
    try:
        return bool(scheme) and base64.b64encode(base64.b64decode(encoded, validate=True)).decode() == encoded
    except (binascii.Error, ValueError):
        return False


def test_junk_inside_base64_passes_in_anymail_and_is_malformed_here() -> None:
    odd = posted_json(OPEN, authorization=basic(KEY)[:12] + "~" + basic(KEY)[12:])
    assert anymail_accepts(PostmarkTrackingWebhookView, odd, webhook_secret=KEY)
    assert refusal(postmark, odd, keys=[KEY]) is Reason.MALFORMED


@pytest.mark.parametrize("credential", [KEY, "x:" + "p" * 30, TOKEN])
def test_what_we_sign_verifies_and_anymail_lets_basic_credentials_in(credential: str) -> None:
    sent = signed(postmark, b"{}", key=credential)
    assert accepts(postmark, sent, keys=[credential])
    assert anymail_accepts(PostmarkTrackingWebhookView, sent, webhook_secret=credential) == (":" in credential)


def test_a_token_is_taken_as_bearer_or_in_a_header_of_our_own() -> None:
    assert accepts(postmark, posted_json(OPEN, authorization=f"Bearer {TOKEN}"), keys=[TOKEN])
    options = postmark.read_options({"credential_header": "X-Postmark-Token"})
    assert accepts(postmark, posted_json(OPEN, **{"x-postmark-token": TOKEN}), keys=[TOKEN], options=options)
    assert accepts(postmark, signed(postmark, b"{}", key=TOKEN, options=options), keys=[TOKEN], options=options)
    wrong = posted_json(OPEN, **{"x-postmark-token": TOKEN + "x"})
    assert refusal(postmark, wrong, keys=[TOKEN], options=options) is Reason.WRONG_CREDENTIAL
    elsewhere = posted_json(OPEN, authorization=f"Bearer {TOKEN}")
    assert refusal(postmark, elsewhere, keys=[TOKEN], options=options) is Reason.MISSING_HEADER


@pytest.mark.parametrize(
    ("header", "reason"),
    [
        (basic(KEY + "x"), Reason.WRONG_CREDENTIAL),
        (basic(""), Reason.WRONG_CREDENTIAL),
        ("Basic !", Reason.MALFORMED),
        ("Basic \xe9", Reason.MALFORMED),
        ("Bearer wrong", Reason.WRONG_CREDENTIAL),
        ("Bearer", Reason.MALFORMED),
        ("Digest x", Reason.MALFORMED),
        ("", Reason.MALFORMED),
    ],
)
def test_a_wrong_credential_says_why(header: str, reason: Reason) -> None:
    assert refusal(postmark, posted_json(OPEN, authorization=header), keys=[KEY]) is reason


def test_no_credential_is_a_missing_header_and_no_secret_lets_nobody_in() -> None:
    assert refusal(postmark, posted_json(OPEN), keys=[KEY]) is Reason.MISSING_HEADER
    assert refusal(postmark, posted_json(OPEN, authorization=basic("")), keys=[]) is Reason.WRONG_CREDENTIAL


def test_while_a_credential_rotates_either_is_taken_and_the_one_that_matched_is_told() -> None:
    for key in (KEY, OLD_KEY):
        assert verified_by(postmark, posted_json(OPEN, authorization=basic(key)), keys=[KEY, OLD_KEY]) == secret(key)


@pytest.mark.parametrize("value", ["", "short", "with a space in the middle", "a-password-in-ünïcode"])
def test_an_unusable_credential_is_refused_with_what_a_right_one_looks_like(value: str) -> None:
    with pytest.raises(ConfigurationError, match="username:password"):
        postmark.check_secret(value)


def test_options_are_strict() -> None:
    postmark.check_secret(KEY)
    postmark.check_secret(TOKEN)
    for wrong in (
        {"header": "x"},
        {"credential_header": ""},
        {"credential_header": "two words"},
        {"credential_header": 1},
    ):
        with pytest.raises(ConfigurationError):
            postmark.read_options(wrong)


def test_403_which_stops_postmark_is_never_the_answer() -> None:
    ack = postmark.ACK
    answers = (ack.success_status, ack.busy_status, ack.unauthorized_status, ack.conflict_status, ack.invalid_status)
    assert 403 not in answers
    assert ack.success_status == 200


# --- events ---


def event(value: dict[str, Any]) -> Any:
    return event_of(postmark, posted_json(value))


def test_a_resend_is_the_same_event_whatever_the_order_of_its_fields() -> None:
    for value in (OPEN, BOUNCE):
        again = dict(reversed(value.items()))
        assert event(value).identity_fields == event(again).identity_fields
        assert event(value).content_sha256 == event(again).content_sha256


@pytest.mark.parametrize(
    "change",
    [
        {"ReceivedAt": "2025-12-31T23:59:00.4951236Z"},
        {"Recipient": "bob@example.net"},
        {"MessageID": "other"},
        {"RecordType": "Click"},
        {"OriginalLink": "https://example.com/b"},
        {"ServerID": 24},
    ],
)
def test_opens_and_clicks_that_differ_are_events_of_their_own(change: dict[str, object]) -> None:
    assert len(identities([event(OPEN), event({**OPEN, **change})])) == 2
    assert event(OPEN).message_id != event({**OPEN, **change}).message_id


def test_two_bounces_of_one_message_are_two_events() -> None:
    assert len(identities([event(BOUNCE), event({**BOUNCE, "ID": 43})])) == 2


def test_one_bounce_with_another_body_shows_in_the_digest() -> None:
    other = event({**BOUNCE, "Details": "another"})
    assert other.identity_fields == event(BOUNCE).identity_fields
    assert other.content_sha256 != event(BOUNCE).content_sha256


def test_an_event_of_no_known_shape_is_known_by_its_content() -> None:
    assert len(identities([event({"a": 1}), event({"a": 2}), event({"a": 1})])) == 2


def test_no_address_stands_in_keys_that_are_shown_unmasked() -> None:
    for value in (OPEN, BOUNCE):
        found = event(value)
        assert "ada@example.com" not in found.ordering_key + found.message_id
        assert {"Email", "Recipient"} <= set(postmark.PERSONAL_PATHS)


def test_what_happens_to_one_message_of_one_recipient_is_in_one_order() -> None:
    assert event(OPEN).ordering_key == event(BOUNCE).ordering_key


def test_anymail_reads_the_same_kind_and_time_in_every_fixture() -> None:
    found: list[IdentifiedEvent] = []
    for body, _ in fixtures("postmark"):
        sent = Sent(headers={**JSON, "authorization": basic(KEY)}, body=body)
        assert accepts(postmark, sent, keys=[KEY])
        ours = event_of(postmark, sent)
        found.append(ours)
        if ours.event_type == "Inbound":
            assert ours.kind is Kind.MESSAGE
            continue
        theirs = anymail_event(body)
        assert ours.kind is KIND_OF[theirs.event_type]
        assert ours.occurred_us == int(theirs.timestamp.timestamp() * 1_000_000)
    assert len(identities(found)) == len(found) == 11


@pytest.mark.parametrize("bounce_type", sorted(postmark._BOUNCE_KINDS))
def test_anymail_reads_the_same_kind_in_every_type_of_bounce(bounce_type: str) -> None:
    value = {**BOUNCE, "Type": bounce_type}
    assert event(value).kind is KIND_OF[anymail_event(json.dumps(value).encode()).event_type]


def test_what_is_no_json_object_is_invalid_and_a_form_unsupported() -> None:
    values: list[object] = [[], 1, None]
    for value in values:
        with pytest.raises(BodyInvalid):
            event_of(postmark, posted_json(value))
    with pytest.raises(ContentTypeUnsupported):
        event_of(postmark, posted_json({}, **{"content-type": "application/x-www-form-urlencoded"}))
    deep = Sent(headers=JSON, body=b"[" * 100_000 + b"]" * 100_000)
    assert event_of(postmark, deep).event_type == "unreadable"


@bounded
@given(sent=malformed(["authorization"], near=[basic(KEY), "Basic ", "Bearer x"]))
def test_no_request_raises_anything_but_the_adapters_errors(sent: Sent) -> None:
    never_raises_anything_else(postmark, sent, keys=[KEY])
