"""Mandrill against django-anymail, its set-up requests, and the traps of its identities."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Callable
from typing import Any
from urllib.parse import urlencode

import pytest
from anymail.webhooks.mandrill import MandrillCombinedWebhookView
from hypothesis import given
from hypothesis import strategies as st

from autocom.kernel.errors import ConfigurationError
from ingestion.providers import mandrill
from ingestion.providers.adapter import (
    BodyInvalid,
    ContentTypeUnsupported,
    IdentifiedEvent,
    Kind,
    Reason,
    Refused,
    Secret,
)
from tests.providers.anymail_judge import anymail_accepts, anymail_reads
from tests.providers.requests import (
    NOW_US,
    Sent,
    base64_header_changes,
    bounded,
    events_of,
    fixtures,
    identities,
    json_values,
    malformed,
    never_raises_anything_else,
    secret,
)

KEY, OLD_KEY = "0123456789abcdefghij_-", "abcdefghij0123456789_-"
URL = "https://hooks.example/webhooks/mandrill?team=blue"
FORM = "application/x-www-form-urlencoded"
OPTIONS = mandrill.read_options({})
OPEN: dict[str, Any] = {
    "event": "open",
    "_id": "m1",
    "ts": 1764068280,
    "ip": "192.0.2.1",
    "msg": {"email": "ada@example.com"},
}


def vendor_signs(fields: list[tuple[str, str]], *, url: str = URL, key: str = KEY) -> Sent:
    """As "Authenticating webhook requests" computes it."""
    text = url + "".join(name + value for name, value in sorted(fields))
    digest = hmac.new(key.encode(), text.encode(), hashlib.sha1).digest()
    headers = {"Content-Type": FORM, "X-Mandrill-Signature": base64.b64encode(digest).decode()}
    return Sent(headers=headers, body=urlencode(fields).encode())


def batch(*events: object, key: str = KEY) -> Sent:
    return vendor_signs([("mandrill_events", json.dumps(events))], key=key)


def verified(sent: Sent, *, url: str = URL, keys: tuple[str, ...] = (KEY,)) -> Secret | None:
    return mandrill.verify(sent.delivery(url=url), secrets=[secret(k) for k in keys], options=OPTIONS, now_us=NOW_US)


def accepts(sent: Sent, *, url: str = URL, keys: tuple[str, ...] = (KEY,)) -> bool:
    try:
        verified(sent, url=url, keys=keys)
    except Refused:
        return False
    return True


def refusal(sent: Sent, *, keys: tuple[str, ...] = (KEY,)) -> Reason:
    with pytest.raises(Refused) as caught:
        verified(sent, keys=keys)
    return caught.value.reason


def judge(sent: Sent, *, url: str = URL) -> bool:
    return anymail_accepts(MandrillCombinedWebhookView, sent, webhook_key=KEY, webhook_url=url)


# --- against django-anymail ---

words = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
_urls = st.sampled_from(
    [URL, URL + "/", URL.replace("https", "http"), URL.partition("?")[0], URL.replace("blue", "red")]
)
_swaps = st.sampled_from(
    [("open", "click"), ("mandrill_events", "mandrill_event"), ("%5B", "["), ("%5B", ""), ("=", "=+"), ("", "")]
)


@bounded
@given(fields=st.dictionaries(words.filter(bool), words, max_size=4))
def test_every_form_that_mandrill_would_sign_is_accepted_by_both(fields: dict[str, str]) -> None:
    sent = vendor_signs(list(fields.items()))
    assert accepts(sent)
    assert judge(sent)


@bounded
@given(url=_urls, change=base64_header_changes, swap=_swaps, key=st.sampled_from([KEY, OLD_KEY]))
def test_a_changed_form_url_header_or_key_gets_anymails_verdict(
    url: str, change: Callable[[str], str], swap: tuple[str, str], key: str
) -> None:
    sent = batch(OPEN, key=key)
    sent = sent.with_header("X-Mandrill-Signature", change(sent.headers["X-Mandrill-Signature"]))
    sent = sent.with_body(sent.body.decode().replace(*swap).encode())
    assert accepts(sent, url=url) == judge(sent, url=url)


@bounded
@given(value=json_values)
def test_what_we_sign_anymail_accepts(value: object) -> None:
    body = json.dumps([value]).encode()
    headers, form = mandrill.sign(body, secret=secret(KEY), options=OPTIONS, url=URL, now_us=NOW_US)
    assert judge(Sent(headers=headers, body=form))
    assert accepts(Sent(headers=headers, body=form))


# --- where anymail differs ---


def test_the_set_up_batch_passes_under_the_key_everybody_knows_and_anymail_refuses_it() -> None:
    sent = batch(key="test-webhook")
    assert not judge(sent)
    assert verified(sent) is None
    assert accepts(sent, keys=())
    reply = mandrill.handshake(sent.delivery(url=URL), options=OPTIONS)
    assert reply is not None
    assert reply.status == 200


def test_the_key_everybody_knows_signs_nothing_but_the_empty_batch() -> None:
    assert refusal(batch(OPEN, key="test-webhook")) is Reason.WRONG_SIGNATURE
    two = vendor_signs([("mandrill_events", "[]"), ("more", "1")], key="test-webhook")
    assert refusal(two) is Reason.WRONG_SIGNATURE
    assert mandrill.handshake(batch(OPEN).delivery(url=URL), options=OPTIONS) is None
    with pytest.raises(ConfigurationError):
        mandrill.check_secret("test-webhook")


def test_a_repeated_field_passes_in_anymail_by_its_last_value_and_is_malformed_here() -> None:
    sent = batch(OPEN)
    doubled = sent.with_body(b"mandrill_events=first&" + sent.body)
    assert judge(doubled)
    assert refusal(doubled) is Reason.MALFORMED


def test_a_signature_of_the_wrong_length_takes_the_same_path_as_one_of_the_wrong_content() -> None:
    for raw in (b"x", bytes(20), bytes(32)):
        sent = batch(OPEN).with_header("X-Mandrill-Signature", base64.b64encode(raw).decode())
        assert refusal(sent) is Reason.WRONG_SIGNATURE


# --- the edges ---


def test_what_is_missing_or_not_a_form_is_refused_with_its_reason() -> None:
    assert refusal(batch(OPEN).without_header("x-mandrill-signature")) is Reason.MISSING_HEADER
    assert refusal(batch(OPEN).with_header("Content-Type", "application/json")) is Reason.MALFORMED
    assert refusal(batch(OPEN).with_body(b"mandrill_events=%ff")) is Reason.MALFORMED
    assert refusal(batch(OPEN), keys=()) is Reason.NO_SECRET


def test_while_a_key_rotates_either_verifies_and_the_one_that_matched_is_told() -> None:
    for key in (KEY, OLD_KEY):
        assert verified(batch(OPEN, key=key), keys=(KEY, OLD_KEY)) == secret(key)


@pytest.mark.parametrize("value", ["", "short", "with a space in the middle", "\ud800" * 20])
def test_a_malformed_key_is_refused_with_what_a_right_one_looks_like(value: str) -> None:
    with pytest.raises(ConfigurationError, match="Webhooks page"):
        mandrill.check_secret(value)
    mandrill.check_secret(KEY)


def test_options_are_strict() -> None:
    with pytest.raises(ConfigurationError, match="url"):
        mandrill.read_options({"url": URL})


# --- events ---


@pytest.mark.parametrize(
    "change",
    [
        {"ts": 1764068281},
        {"ip": "192.0.2.2"},
        {"_id": "m2"},
        {"user_agent": "another"},
        {"event": "click", "url": "https://example.com"},
    ],
)
def test_repeated_opens_are_events_of_their_own(change: dict[str, object]) -> None:
    assert len(identities(events_of(mandrill, batch(OPEN, {**OPEN, **change})))) == 2


def test_clicks_on_two_links_in_one_second_are_two_events() -> None:
    clicks = [{**OPEN, "event": "click", "url": f"https://example.com/{number}"} for number in range(2)]
    assert len(identities(events_of(mandrill, batch(*clicks)))) == 2


def test_an_event_sent_again_after_the_message_was_opened_is_the_same_event() -> None:
    later = {**OPEN, "msg": {**OPEN["msg"], "opens": [{"ts": 1}], "clicks": [], "state": "sent", "smtp_events": [1]}}
    one, other = events_of(mandrill, batch(OPEN, later))
    assert one.identity_fields == other.identity_fields
    assert one.content_sha256 == other.content_sha256


def test_another_recipient_under_one_identity_is_another_content() -> None:
    one, other = events_of(mandrill, batch(OPEN, {**OPEN, "msg": {"email": "bob@example.com"}}))
    assert one.identity_fields == other.identity_fields
    assert one.content_sha256 != other.content_sha256


def test_changes_of_a_denylist_are_told_apart_by_list_action_address_and_time() -> None:
    base: dict[str, object] = {"type": "blacklist", "action": "add", "ts": 1, "reject": {"email": "ada@example.com"}}
    others: list[dict[str, object]] = [
        {"type": "whitelist"},
        {"action": "remove"},
        {"ts": 2},
        {"reject": {"email": "bob@example.com"}},
    ]
    found = events_of(mandrill, batch(base, *({**base, **other} for other in others)))
    assert len(identities(found)) == 5
    assert found[0].event_type == "blacklist.add"
    assert "ada" not in found[0].ordering_key


def test_inbound_messages_without_an_id_are_told_apart() -> None:
    found = events_of(mandrill, batch(*({"event": "inbound", "ts": 1, "msg": {"raw_msg": text}} for text in "ab")))
    assert len(identities(found)) == 2
    assert found[0].kind is Kind.MESSAGE


def test_nothing_is_dropped_for_what_it_lacks() -> None:
    found = events_of(mandrill, batch({}, {"event": "open"}, 1, None, "x", [], {"msg": 1}))
    assert len(found) == len(identities(found)) == 7


def test_a_thousand_events_come_in_the_order_of_the_batch() -> None:
    found = events_of(mandrill, batch(*({**OPEN, "_id": f"m{number}"} for number in range(1_000))))
    assert [event.ordering_key for event in found] == [f"m{number}" for number in range(1_000)]


def test_anymail_reads_the_same_time_and_message_from_every_fixture() -> None:
    for body, _ in fixtures("mandrill"):
        headers, form = mandrill.sign(body, secret=secret(KEY), options=OPTIONS, url=URL, now_us=NOW_US)
        sent = Sent(headers=headers, body=form)
        ours = events_of(mandrill, sent)
        if any(event.kind is Kind.MESSAGE for event in ours):
            continue  # anymail parses the message itself there
        theirs = anymail_reads(MandrillCombinedWebhookView, sent, webhook_key=KEY)
        assert [event.timestamp.timestamp() * 1_000_000 for event in theirs] == [event.occurred_us for event in ours]
        assert [event.message_id or "" for event in theirs] == [event.message_id.partition("#")[0] for event in ours]


def test_every_fixture_is_signed_verified_and_has_events_of_its_own() -> None:
    found: list[IdentifiedEvent] = []
    for body, _ in fixtures("mandrill"):
        headers, form = mandrill.sign(body, secret=secret(KEY), options=OPTIONS, url=URL, now_us=NOW_US)
        sent = Sent(headers=headers, body=form)
        assert accepts(sent)
        assert judge(sent)
        found += events_of(mandrill, sent)
    assert len(identities(found)) == len(found) >= 13
    assert {event.kind for event in found} >= set(Kind) - {Kind.PAYMENT, Kind.DELIVERED}
    assert all(event.occurred_us for event in found)


def test_a_form_or_a_single_event_can_be_signed_too() -> None:
    for body in (json.dumps(OPEN).encode(), urlencode({"mandrill_events": json.dumps([OPEN])}).encode()):
        headers, form = mandrill.sign(body, secret=secret(KEY), options=OPTIONS, url=URL, now_us=NOW_US)
        assert len(events_of(mandrill, Sent(headers=headers, body=form))) == 1


def test_bodies_of_no_use_are_invalid_or_unsupported() -> None:
    for text in ("", "{}", "1", "[", json.dumps([0] * 4_097)):
        with pytest.raises(BodyInvalid):
            events_of(mandrill, vendor_signs([("mandrill_events", text)]))
    with pytest.raises(BodyInvalid):
        events_of(mandrill, vendor_signs([("other", "[]")]))
    with pytest.raises(ContentTypeUnsupported):
        events_of(mandrill, batch(OPEN).with_header("Content-Type", "application/json"))


@pytest.mark.parametrize("depth", [900, 5_000, 9_990, 100_000])
def test_a_body_nested_too_deep_is_kept_as_an_event(depth: int) -> None:
    (event,) = events_of(mandrill, vendor_signs([("mandrill_events", '[{"a":' + "[" * depth + "]" * depth + "}]")]))
    assert event.payload


@bounded
@given(sent=malformed(["x-mandrill-signature"], near=["RSOYDt4T1cUTdK1PDd93/VVr8B8="]))
def test_no_request_raises_anything_but_the_adapters_errors(sent: Sent) -> None:
    never_raises_anything_else(mandrill, sent, keys=[KEY])


@bounded
@given(
    elements=st.lists(
        st.dictionaries(st.sampled_from(["_id", "event", "ts", "msg", "type", "reject", "ip"]), json_values),
        min_size=1,
        max_size=3,
    )
)
def test_no_event_of_known_fields_and_strange_values_is_dropped(elements: list[dict[str, object]]) -> None:
    assert len(events_of(mandrill, batch(*elements))) == len(elements)
