"""Svix and Resend against the npm library of Standard Webhooks (the svix package itself is built on the Python one)."""

from __future__ import annotations

import base64

import pytest
from hypothesis import given

from autocom.kernel.errors import ConfigurationError
from ingestion.providers import svix
from ingestion.providers.adapter import BodyInvalid, Kind, Reason
from tests.providers.oracles.node import node_accepts, node_signs
from tests.providers.requests import (
    NOW_SECONDS,
    Sent,
    Spoiling,
    accepts,
    bounded,
    event_of,
    fixtures,
    identities,
    malformed,
    never_raises_anything_else,
    refusal,
    signed,
    spoilings,
    texts,
)

KEY = "whsec_" + base64.b64encode(bytes(range(24))).decode()
NAMES = ("svix-id", "svix-timestamp", "svix-signature")
BODY = (
    b'{"type":"email.bounced","created_at":"2025-12-31T23:59:00.000Z",'
    b'"data":{"created_at":"2025-12-31T22:00:00.000Z","email_id":"em_1","to":["ada@example.com"]}}'
)


def renamed(sent: Sent, *, old: str, new: str) -> Sent:
    return Sent(headers={name.replace(old, new): value for name, value in sent.lowered().items()}, body=sent.body)


def library_accepts(sent: Sent) -> bool:
    """The library knows only the webhook-* names."""
    only_svix = {name: value for name, value in sent.lowered().items() if not name.startswith("webhook-")}
    translated = renamed(Sent(headers=only_svix, body=sent.body), old="svix-", new="webhook-")
    return node_accepts("standard", translated, secrets=[KEY], now_seconds=NOW_SECONDS)


def library_signs(body: bytes, *, message_id: str = "msg_1", seconds: int = NOW_SECONDS) -> Sent:
    unsigned = Sent(headers={"content-type": "application/json", "webhook-id": message_id}, body=body)
    return renamed(node_signs("standard", unsigned, secret=KEY, now_seconds=seconds), old="webhook-", new="svix-")


@bounded
@given(body=texts)
def test_what_the_library_signs_is_accepted_under_both_families_of_names(body: str) -> None:
    sent = library_signs(body.encode())
    assert accepts(svix, sent, keys=[KEY])
    assert accepts(svix, renamed(sent, old="svix-", new="webhook-"), keys=[KEY])


@bounded
@given(body=texts)
def test_what_we_sign_the_library_accepts(body: str) -> None:
    assert library_accepts(signed(svix, body.encode(), key=KEY))


@bounded
@given(spoil=spoilings(NAMES, timestamp="svix-timestamp"), again=spoilings(NAMES, timestamp="svix-timestamp"))
def test_our_verdict_on_a_spoilt_request_is_that_of_the_library(spoil: Spoiling, again: Spoiling) -> None:
    sent = again(spoil(signed(svix, BODY, key=KEY)))
    ours, theirs = accepts(svix, sent, keys=[KEY]), library_accepts(sent)
    assert ours <= theirs
    assert ours == theirs or stricter_than_the_library(sent)


def stricter_than_the_library(sent: Sent) -> bool:
    """Each of these is a named test of Standard Webhooks, whose code this is."""
    headers = sent.lowered()
    timestamp = headers["svix-timestamp"]
    ten_digits = timestamp.isascii() and timestamp.isdigit() and len(timestamp) == 10
    odd_entry = any(entry.count(",") != 1 for entry in headers["svix-signature"].split(" "))
    odd_id = not all("!" <= character <= "~" for character in headers["svix-id"])
    return not ten_digits or int(timestamp) > NOW_SECONDS + 60 or odd_entry or odd_id


def test_one_family_is_read_as_a_whole_so_that_the_id_is_the_signed_one() -> None:
    sent = library_signs(BODY)
    mixed = renamed(sent, old="svix-", new="webhook-").with_header("svix-id", "msg_other")
    assert refusal(svix, mixed, keys=[KEY]) is Reason.MISSING_HEADER
    both = sent.with_header("webhook-id", "msg_other")
    assert accepts(svix, both, keys=[KEY])
    assert event_of(svix, both).message_id == "msg_1"


@pytest.mark.parametrize(
    ("age_seconds", "reason"), [(300, None), (301, Reason.TOO_OLD), (-60, None), (-61, Reason.IN_THE_FUTURE)]
)
def test_the_window_is_300_seconds_back_and_60_ahead(age_seconds: int, reason: Reason | None) -> None:
    sent = library_signs(BODY, seconds=NOW_SECONDS - age_seconds)
    if reason is None:
        assert accepts(svix, sent, keys=[KEY])
    else:
        assert refusal(svix, sent, keys=[KEY]) is reason


def test_a_retry_has_a_new_time_and_is_the_same_event() -> None:
    first, retry = library_signs(BODY), library_signs(BODY, seconds=NOW_SECONDS + 5)
    assert event_of(svix, first) == event_of(svix, retry)


def test_one_message_to_two_recipients_is_two_events_though_no_recipient_is_named() -> None:
    one, other = library_signs(BODY), library_signs(BODY, message_id="msg_2")
    assert len(identities([event_of(svix, one), event_of(svix, other)])) == 2


def test_the_event_s_time_is_the_outer_one_and_the_email_orders() -> None:
    event = event_of(svix, library_signs(BODY))
    assert event.occurred_us == (NOW_SECONDS - 60) * 1_000_000
    assert event.ordering_key == "em_1"
    assert event.kind is Kind.BOUNCED
    assert "data.to" in svix.PERSONAL_PATHS


def test_the_ordering_key_can_be_configured() -> None:
    options = svix.read_options({"ordering_key_path": "data.to.0"})
    assert event_of(svix, library_signs(BODY), options=options).ordering_key == "ada@example.com"
    for wrong in ({"x": "y"}, {"ordering_key_path": 1}, {"ordering_key_path": "."}):
        with pytest.raises(ConfigurationError):
            svix.read_options(wrong)


def test_every_fixture_verifies_and_has_its_kind() -> None:
    found = {}
    for body, _ in fixtures("svix"):
        sent = signed(svix, body, key=KEY)
        assert accepts(svix, sent, keys=[KEY])
        event = event_of(svix, sent)
        assert event.occurred_us is not None
        found[event.event_type] = event.kind
    assert found == {
        "email.sent": Kind.SENT,
        "email.delivered": Kind.DELIVERED,
        "email.delivery_delayed": Kind.DEFERRED,
        "email.bounced": Kind.BOUNCED,
        "email.complained": Kind.COMPLAINED,
        "email.opened": Kind.OPENED,
        "email.clicked": Kind.CLICKED,
        "email.failed": Kind.REJECTED,
        "contact.created": Kind.OTHER,
        "invoice.paid": Kind.OTHER,
        "email.suppressed": Kind.REJECTED,
        "email.received": Kind.MESSAGE,
        "contact.updated": Kind.OTHER,
    }


def test_secrets_are_those_of_standard_webhooks() -> None:
    svix.check_secret(KEY)
    with pytest.raises(ConfigurationError, match="whsec_"):
        svix.check_secret("re_123")


def test_a_body_that_is_no_object_is_invalid() -> None:
    with pytest.raises(BodyInvalid):
        event_of(svix, signed(svix, b"[]", key=KEY))


@bounded
@given(sent=malformed(svix.SIGNED_HEADERS, near=[str(NOW_SECONDS), "v1,AAAA", "msg_1"]))
def test_no_request_raises_anything_but_the_adapters_errors(sent: Sent) -> None:
    never_raises_anything_else(svix, sent, keys=[KEY])
