"""Shopify against its own npm library."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autocom.kernel.errors import ConfigurationError
from ingestion.providers import shopify
from ingestion.providers.adapter import BodyInvalid, ContentTypeUnsupported, Kind, Reason
from tests.providers.oracles.node import node_accepts
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
    verified_by,
)

KEY = "shpss_0123456789abcdef0123456789abcdef"
OLD_KEY = "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"
WEBHOOKS, EVENTS = "x-shopify-hmac-sha256", "shopify-hmac-sha256"
BODY = b'{"id":42,"admin_graphql_api_id":"gid://shopify/Order/42","email":"ada@example.com"}'


def sent_by_shopify(
    body: bytes = BODY, *, key: str = KEY, events: bool = False, headers: Mapping[str, str] | None = None
) -> Sent:
    """As the documentation describes it, made with the standard library alone."""
    signature = base64.b64encode(hmac.new(key.encode(), body, hashlib.sha256).digest()).decode()
    family = "shopify-" if events else "x-shopify-"
    return Sent(
        headers={
            "content-type": "application/json",
            f"{family}hmac-sha256": signature,
            f"{family}topic": "orders/create",
            f"{family}shop-domain": "shop.example",
            f"{family}api-version": "2026-01",
            f"{family}webhook-id": "wh_1",
            f"{family}event-id": "ev_1",
            **(headers or {}),
        },
        body=body,
    )


def library_accepts(sent: Sent, *, key: str = KEY) -> bool:
    return node_accepts("shopify", sent, secrets=[key], now_seconds=NOW_SECONDS)


@bounded
@given(body=texts.filter(bool), events=st.booleans())
def test_both_families_of_headers_are_accepted_as_by_the_library(body: str, events: bool) -> None:
    sent = sent_by_shopify(body.encode(), events=events)
    assert accepts(shopify, sent, keys=[KEY])
    assert library_accepts(sent)


@bounded
@given(body=texts.filter(bool))
def test_what_we_sign_the_library_accepts(body: str) -> None:
    assert library_accepts(signed(shopify, body.encode(), key=KEY))


@bounded
@given(spoil=spoilings([WEBHOOKS]), again=spoilings([WEBHOOKS]))
def test_our_verdict_on_a_spoilt_webhook_is_that_of_the_library(spoil: Spoiling, again: Spoiling) -> None:
    sent = again(spoil(sent_by_shopify()))
    assert accepts(shopify, sent, keys=[KEY]) == library_accepts(sent)


@bounded
@given(spoil=spoilings([EVENTS]), again=spoilings([EVENTS, WEBHOOKS]))
def test_our_verdict_on_a_spoilt_event_is_that_of_the_library(spoil: Spoiling, again: Spoiling) -> None:
    sent = again(spoil(sent_by_shopify(events=True)))
    assert accepts(shopify, sent, keys=[KEY]) == library_accepts(sent)


@pytest.mark.parametrize("right", [True, False])
def test_where_both_families_are_present_the_events_one_decides_in_both(right: bool) -> None:
    sent = sent_by_shopify(events=True).with_header(WEBHOOKS, "AAAA")
    if not right:
        sent = sent_by_shopify().with_header(EVENTS, "AAAA")
    assert accepts(shopify, sent, keys=[KEY]) == right
    assert library_accepts(sent) == right


def test_a_delivery_without_topic_or_ids_is_refused_by_the_library_and_kept_here() -> None:
    """Those headers are not signed: a missing field never drops an event."""
    sent = sent_by_shopify()
    for name in ("topic", "webhook-id", "event-id", "shop-domain"):
        sent = sent.without_header(f"x-shopify-{name}")
    assert not library_accepts(sent)
    assert accepts(shopify, sent, keys=[KEY])
    event = event_of(shopify, sent)
    assert event.event_type == "unknown"
    assert event.message_id.startswith("sha256:")


def test_a_signed_body_that_is_not_utf8_fails_in_the_library_and_is_only_an_invalid_body_here() -> None:
    sent = sent_by_shopify(b'{"a":"\xff"}')
    assert not library_accepts(sent)
    assert accepts(shopify, sent, keys=[KEY])
    with pytest.raises(BodyInvalid):
        event_of(shopify, sent)


@pytest.mark.parametrize(
    "change", [lambda text: text.rstrip("="), lambda text: text + "=", lambda text: f" {text}", str.lower]
)
def test_a_signature_in_another_spelling_is_refused(change: object) -> None:
    assert callable(change)
    sent = sent_by_shopify()
    spoilt = sent.with_header(WEBHOOKS, change(sent.headers[WEBHOOKS]))
    assert refusal(shopify, spoilt, keys=[KEY]) in (Reason.MALFORMED, Reason.WRONG_SIGNATURE)


def test_an_empty_body_is_refused_by_both() -> None:
    sent = sent_by_shopify(b"")
    assert not library_accepts(sent)
    assert refusal(shopify, sent, keys=[KEY]) is Reason.MALFORMED


def test_a_missing_header_is_named() -> None:
    assert refusal(shopify, sent_by_shopify().without_header(WEBHOOKS), keys=[KEY]) is Reason.MISSING_HEADER


def test_while_a_secret_rotates_either_verifies_and_the_one_that_matched_is_told() -> None:
    for key in (KEY, OLD_KEY):
        matched = verified_by(shopify, sent_by_shopify(key=key), keys=[KEY, OLD_KEY])
        assert matched is not None
        assert matched.value == key


def test_a_short_secret_and_any_option_are_refused() -> None:
    shopify.check_secret(KEY)
    with pytest.raises(ConfigurationError, match="at least 24"):
        shopify.check_secret("short")
    with pytest.raises(ConfigurationError, match="the scheme shopify has none"):
        shopify.read_options({"shop": "x"})


def test_a_conflict_is_acknowledged_since_failures_delete_the_subscription() -> None:
    assert 200 <= shopify.ACK.conflict_status < 300
    assert shopify.ACK.busy_status == 503


# --- events ---


def test_a_retry_is_the_same_event() -> None:
    assert event_of(shopify, sent_by_shopify()) == event_of(shopify, sent_by_shopify())


def test_two_subscriptions_to_a_topic_bring_one_event() -> None:
    other = sent_by_shopify(headers={"x-shopify-webhook-id": "wh_2"})
    assert event_of(shopify, sent_by_shopify()) == event_of(shopify, other)


@pytest.mark.parametrize(
    "other",
    [
        sent_by_shopify(headers={"x-shopify-topic": "orders/updated"}),
        sent_by_shopify(headers={"x-shopify-shop-domain": "other.example"}),
        sent_by_shopify(headers={"x-shopify-event-id": "ev_2"}),
        sent_by_shopify(BODY.replace(b"42", b"43")),
    ],
    ids=["topic", "shop", "event", "resource"],
)
def test_one_act_that_changes_several_things_is_as_many_events(other: Sent) -> None:
    events = [event_of(shopify, sent_by_shopify()), event_of(shopify, other)]
    assert len(identities(events)) == 2
    assert (
        len({(event.message_id, event.event_type) for event in events}) == 2
        or events[0].identity_fields[0] != events[1].identity_fields[0]
    )


def test_without_an_event_id_the_webhook_id_tells() -> None:
    one = sent_by_shopify().without_header("x-shopify-event-id")
    other = one.with_header("x-shopify-webhook-id", "wh_2")
    assert event_of(shopify, one).message_id == "wh_1"
    assert len(identities([event_of(shopify, one), event_of(shopify, other)])) == 2


def test_a_replay_under_another_event_id_shows_by_its_equal_content() -> None:
    first, second = (
        event_of(shopify, sent_by_shopify()),
        event_of(shopify, sent_by_shopify(headers={"x-shopify-event-id": "ev_9"})),
    )
    assert first.content_sha256 == second.content_sha256


def test_what_happens_to_one_order_is_in_one_order() -> None:
    paid = sent_by_shopify(b'{"id":42}', headers={"x-shopify-topic": "orders/paid", "x-shopify-event-id": "ev_2"})
    assert event_of(shopify, paid).ordering_key == event_of(shopify, sent_by_shopify()).ordering_key
    assert event_of(shopify, paid).kind is Kind.PAYMENT


def test_every_fixture_verifies_and_is_an_event_of_its_own() -> None:
    found = []
    for body, headers in fixtures("shopify"):
        lowered = {name.lower(): text for name, text in headers.items()}
        name = EVENTS if "shopify-topic" in lowered else WEBHOOKS
        signature = signed(shopify, body, key=KEY).lowered()[WEBHOOKS]
        sent = Sent(headers={"content-type": "application/json", **lowered, name: signature}, body=body)
        assert accepts(shopify, sent, keys=[KEY])
        assert library_accepts(sent)
        found.append(event_of(shopify, sent))
    assert len(identities(found)) == len(found)
    assert all(event.occurred_us is not None for event in found)
    assert [event.event_type for event in found] == [
        "orders/create",
        "orders/paid",
        "products/update",
        "refunds/create",
        "app/uninstalled",
        "Product/update",
        "orders/cancelled",
        "customers/create",
    ]
    assert found[5].ordering_key == "shop.example:Product:1"


def test_what_is_no_json_object_is_invalid_and_xml_unsupported() -> None:
    with pytest.raises(BodyInvalid):
        event_of(shopify, sent_by_shopify(b"[]"))
    with pytest.raises(ContentTypeUnsupported):
        event_of(shopify, sent_by_shopify(b"<order/>").with_header("content-type", "application/xml"))


def test_a_body_nested_too_deep_is_kept_as_an_event() -> None:
    deep = json.dumps({"id": 1})[:-1].encode() + b',"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}"
    assert event_of(shopify, sent_by_shopify(deep)).message_id == "ev_1"


@bounded
@given(sent=malformed(shopify.SIGNED_HEADERS, near=["AAAA", "orders/create"]))
def test_no_request_raises_anything_but_the_adapters_errors(sent: Sent) -> None:
    never_raises_anything_else(shopify, sent, keys=[KEY])
