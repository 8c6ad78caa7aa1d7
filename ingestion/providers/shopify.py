"""Shopify signs the raw body with HMAC-SHA256 in base64; topic, shop and ids are in unsigned headers.

Two families of headers: `X-Shopify-*` of webhooks, `shopify-*` of the newer events. Same scheme, same key.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta

from autocom.kernel.digest import hmac_sha256, sha256
from autocom.kernel.errors import ConfigurationError
from ingestion.providers.adapter import (
    AckPolicy,
    BodyInvalid,
    IdentifiedEvent,
    ImmediateReply,
    InboundDelivery,
    KeyNames,
    Kind,
    Reason,
    Refused,
    Secret,
    match_any,
)
from ingestion.providers.json_body import TOO_DEEP, check_json_content_type, parse, text_at, time_us_at
from ingestion.providers.option_texts import option_texts
from ingestion.providers.signature_text import canonical_base64

SCHEME = "shopify"
# Any 2xx within 5 s; a subscription whose deliveries keep failing is deleted ("Troubleshooting webhooks"). So what lies
# in quarantine is acknowledged: it is kept, and sending it again would only bring the same conflict.
ACK = AckPolicy(conflict_status=202)
RETRY_HORIZON = timedelta(hours=4)  # 8 attempts with the first payload: changelog "Updates to webhook retry mechanism"
_WEBHOOKS, _EVENTS = "x-shopify-", "shopify-"
_UNSIGNED = ("topic", "shop-domain", "event-id", "webhook-id", "triggered-at")
SIGNED_HEADERS: tuple[str, ...] = (
    *(f"{family}{name}" for family in (_WEBHOOKS, _EVENTS) for name in ("hmac-sha256", *_UNSIGNED)),
    "shopify-action",
    "shopify-resource-id",
)  # only the two hmac-sha256 prove anything; the others name the event
BODY_LIMIT_BYTES: int | None = None
SECRET_FORM = "the app's client secret, at least 24 characters"  # noqa: S105
RECIPE = "shopify/1"

_PAYMENT_TOPICS = ("orders/paid", "orders/partially_paid", "order_transactions/", "refunds/", "tender_transactions/")
KEY_NAMES = KeyNames.NOBODY
PERSONAL_PATHS: tuple[str, ...] = (
    "email",
    "contact_email",
    "phone",
    "first_name",
    "last_name",
    "customer",
    "billing_address",
    "shipping_address",
    "default_address",
    "addresses",
    "client_details",
    "browser_ip",
    "note",
    "note_attributes",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """Shopify leaves nothing to choose."""


def read_options(raw: Mapping[str, object]) -> Options:
    option_texts(raw, scheme=SCHEME)
    return Options()


def check_secret(value: str) -> None:
    if len(value) < 24:
        raise ConfigurationError(f"the secret has {len(value)} characters: use {SECRET_FORM}")


def signed_headers(options: Options) -> tuple[str, ...]:  # noqa: ARG001
    return SIGNED_HEADERS


def verify(delivery: InboundDelivery, *, secrets: Sequence[Secret], options: Options, now_us: int) -> Secret | None:  # noqa: ARG001
    """1. header present, the events family first; 2. well formed; 3. right over a body. No time is signed."""
    candidate = canonical_base64(delivery.required(f"{_family(delivery)}hmac-sha256"))
    if not delivery.body:
        raise Refused(Reason.MALFORMED, "the body is empty")
    return match_any([candidate], [(secret, hmac_sha256(secret.value.encode(), delivery.body)) for secret in secrets])


def _family(delivery: InboundDelivery) -> str:
    return _EVENTS if delivery.headers.get(f"{_EVENTS}hmac-sha256") else _WEBHOOKS


def handshake(delivery: InboundDelivery, *, options: Options) -> ImmediateReply | None:  # noqa: ARG001  (none)
    return None


def identify(delivery: InboundDelivery, *, options: Options) -> Sequence[IdentifiedEvent]:  # noqa: ARG001
    """One event. The event id is shared by all subscriptions to a topic, and by everything that one act changed:

    so the topic and the resource belong to the identity, the webhook id (one for each subscription) does not.
    """
    check_json_content_type(delivery)
    value = parse(delivery.body)
    if value is not TOO_DEEP and not isinstance(value, dict):
        raise BodyInvalid(f"the body is a JSON {type(value).__name__}: Shopify sends an object")
    topic, shop, event_id, webhook_id, triggered_at = _unsigned(delivery)
    resource = _resource(delivery, value)
    event_type = _event_type(delivery, topic)
    digest = f"sha256:{sha256(delivery.body).hex()}"
    if event_id:
        message_id = f"{event_id}:{resource}" if resource else event_id
        identity: tuple[str, ...] = (shop, event_type, event_id, resource)
    else:
        message_id = webhook_id or digest
        identity = (shop, event_type, message_id)
    return [
        IdentifiedEvent(
            message_id=message_id,
            event_type=event_type,
            ordering_key=f"{shop}:{topic.split('/')[0]}:{resource}" if resource else message_id,
            payload=delivery.body,
            identity_fields=identity,
            recipe=RECIPE,
            content_sha256=sha256(delivery.body),
            occurred_us=time_us_at(triggered_at, ()),
            kind=Kind.PAYMENT if event_type.startswith(_PAYMENT_TOPICS) else Kind.OTHER,
        )
    ]


def _unsigned(delivery: InboundDelivery) -> tuple[str, ...]:
    family = _family(delivery)
    return tuple(delivery.headers.get(f"{family}{name}", "") for name in _UNSIGNED)


def _event_type(delivery: InboundDelivery, topic: str) -> str:
    action = delivery.headers.get("shopify-action", "") if _family(delivery) == _EVENTS else ""
    if action and not topic.lower().endswith(f"/{action.lower()}"):
        return f"{topic}/{action}"
    return topic or "unknown"


def _resource(delivery: InboundDelivery, value: object) -> str:
    """The last step of the resource's id: the same in `gid://shopify/Order/42` and in `42`."""
    named = delivery.headers.get("shopify-resource-id", "") if _family(delivery) == _EVENTS else ""
    found = named or text_at(value, ("admin_graphql_api_id",)) or text_at(value, ("id",))
    return found.rsplit("/", 1)[-1]


def sign(
    body: bytes,
    *,
    secret: Secret,
    options: Options,  # noqa: ARG001
    url: str,  # noqa: ARG001
    now_us: int,  # noqa: ARG001  (none of the three is signed here)
) -> tuple[Mapping[str, str], bytes]:
    event_id = sha256(body).hex()[:32]
    headers = {
        "Content-Type": "application/json",
        "X-Shopify-Topic": "orders/create",
        "X-Shopify-Shop-Domain": "shop.example",
        "X-Shopify-API-Version": "2026-01",
        "X-Shopify-Event-Id": event_id,
        "X-Shopify-Webhook-Id": f"webhook-{event_id}",
        "X-Shopify-Hmac-SHA256": _base64_digest(secret, body),
    }
    return headers, body


def sign_again(
    body: bytes,
    *,
    recorded: Mapping[str, str],
    secret: Secret,
    options: Options,
    url: str,
    now_us: int,
) -> tuple[Mapping[str, str], bytes]:
    """As `sign`, in the recorded family of headers: the adapter reads the names from the family that is signed."""
    if f"{_EVENTS}topic" in recorded:
        return {"Content-Type": "application/json", f"{_EVENTS}hmac-sha256": _base64_digest(secret, body)}, body
    return sign(body, secret=secret, options=options, url=url, now_us=now_us)


def _base64_digest(secret: Secret, body: bytes) -> str:
    return base64.b64encode(hmac_sha256(secret.value.encode(), body)).decode()
