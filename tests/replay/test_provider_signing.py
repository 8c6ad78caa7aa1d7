"""Recorded deliveries signed anew: what of the recording stays, and what the generator expects the service to find."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import urlencode

import pytest

from ingestion.providers.adapter import InboundDelivery
from ingestion.replay.bodies import Body
from ingestion.replay.errors import RecordingError
from ingestion.replay.provider_signing import ProviderSigner, provider_signer
from tests.providers.requests import NOW_US, whsec

URL = "https://hooks.example/webhooks/p"
FORM = "application/x-www-form-urlencoded"
SECRETS = {"standard": whsec(0), "svix": whsec(0), "slack": "0123456789abcdef" * 2}


def signer(scheme: str, *, makes_events: bool = False, **options: object) -> ProviderSigner:
    return provider_signer(
        provider="p",
        scheme=scheme,
        secret=SECRETS.get(scheme, "a-secret-of-24-characters"),
        options=json.dumps(options),
        url=URL,
        beside="{}",
        makes_events="yes" if makes_events else "",
    )


def recorded(content: object, **headers: str) -> Body:
    text = content if isinstance(content, bytes) else json.dumps(content).encode()
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Body(content=text, message_id="", event_type="", ordering_key="", headers=named)


def sent(scheme: str, body: Body) -> dict[str, str]:
    """The headers that leave, checked to be believed now and an hour later when signed then."""
    made = signer(scheme)
    ready = made.made_ready(body, place=1)
    for now_us in (NOW_US, NOW_US + 3_600_000_000):
        signed = made.sign(ready, now_us=now_us)
        delivery = InboundDelivery(
            provider="p", headers=signed.lowered, body=signed.content, url=URL, received_us=now_us
        )
        assert made.adapter.verify(delivery, secrets=[made.secret], options=made.options, now_us=now_us)
    return made.sign(ready, now_us=NOW_US).lowered


def test_an_unsigned_header_stays_as_recorded_and_a_signature_is_made_anew() -> None:
    old = {"X_GitHub_Event": "push", "X_GitHub_Delivery": "d1", "X_Hub_Signature_256": "sha256=" + "0" * 64}
    headers = sent("github", recorded({"ref": "refs/heads/main"}, **old))
    assert (headers["x-github-event"], headers["x-github-delivery"]) == ("push", "d1")
    assert headers["x-hub-signature-256"] != old["X_Hub_Signature_256"]


@pytest.mark.parametrize(("scheme", "family"), [("standard", "webhook"), ("svix", "svix"), ("svix", "webhook")])
def test_a_recorded_id_that_is_signed_is_signed_again_in_its_own_family(scheme: str, family: str) -> None:
    stale = {f"{family}_id": "msg_7", f"{family}_timestamp": "1764583200", f"{family}_signature": "v1,AAAA"}
    body = recorded({"type": "t"}, **stale)
    headers = sent(scheme, body)
    assert headers[f"{family}-id"] == "msg_7"
    assert headers[f"{family}-timestamp"] == str(NOW_US // 1_000_000)
    (event,) = signer(scheme).made_ready(body, place=1).events or ()
    assert event.message_id == "msg_7"


def test_the_newer_family_of_shopify_is_signed_in_its_own_header() -> None:
    headers = sent("shopify", recorded({"product": {}}, shopify_topic="Product", shopify_event_id="e1"))
    assert "x-shopify-hmac-sha256" not in headers
    assert headers["shopify-topic"] == "Product"


def test_a_content_type_stays_unless_signing_changes_the_kind_of_body() -> None:
    assert sent("slack", recorded(b"command=%2Fx&team_id=T1", content_type=FORM))["content-type"] == FORM
    array = recorded([{"event": "open", "_id": "m1", "ts": 1}], content_type="application/json")
    assert sent("mandrill", array)["content-type"] == FORM


def test_every_event_of_a_batch_is_expected_under_the_services_own_names() -> None:
    events = [{"event": "open", "email": "a@example.com", "timestamp": n, "sg_message_id": "m"} for n in range(3)]
    body = recorded([{**event, "_id": "m", "ts": event["timestamp"]} for event in events])
    found = signer("mandrill").made_ready(body, place=1).events
    assert found is not None
    assert [event.event_type for event in found] == ["open"] * 3
    assert len({event.message_id for event in found}) == 3


def test_a_name_that_depends_on_the_moment_of_signing_is_not_expected() -> None:
    form = recorded(urlencode({"event": "bounced", "recipient": "a@example.com"}).encode(), content_type=FORM)
    (event,) = signer("mailgun").made_ready(form, place=1).events or ()
    assert (event.message_id, event.event_type) == ("", "bounced")


def test_a_body_that_the_service_will_refuse_is_sent_without_expectations() -> None:
    assert signer("github").made_ready(recorded([1]), place=1).events is None


@pytest.mark.parametrize(
    ("scheme", "content", "complaint"),
    [
        (
            "slack",
            {"type": "url_verification", "challenge": "c"},
            "is a set-up request of p",
        ),
        ("mailgun", b"\xff", "cannot be signed for p"),
        ("shopify", b"", "cannot be signed for p"),
    ],
)
def test_what_cannot_be_replayed_is_named_by_its_place(scheme: str, content: Any, complaint: str) -> None:
    with pytest.raises(RecordingError, match=f"webhook 4 of the recording {complaint}"):
        signer(scheme).made_ready(recorded(content), place=4)


def test_no_secret_is_in_a_signers_representation() -> None:
    made = provider_signer(
        provider="p",
        scheme="mailgun",
        secret="key-0123456789abcdef",
        options="{}",
        url=URL,
        beside='{"Authorization": "Basic cGFzc3dvcmQ="}',
        makes_events="",
    )
    assert "0123456789" not in repr(made)
    assert "cGFzc3dvcmQ=" not in repr(made)
