"""Stripe signs "<seconds>.<body>" with HMAC-SHA256 in hex: `Stripe-Signature: t=<seconds>,v1=<hex>[,v1=<hex>]`."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta

from autocom.kernel.digest import hmac_sha256, sha256
from autocom.kernel.errors import ConfigurationError
from ingestion.providers.adapter import (
    SIGNATURES_LIMIT_COUNT,
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
    check_fresh,
    match_any,
    timestamp_seconds,
)
from ingestion.providers.event_keys import content_digest, unreadable_event
from ingestion.providers.json_body import TOO_DEEP, check_json_content_type, parse, text_at, time_us_at
from ingestion.providers.option_texts import option_texts
from ingestion.providers.signature_text import sha256_hex

SCHEME = "stripe"
ACK = AckPolicy()  # any 2xx; "Receive Stripe events in your webhook endpoint", section on quick 2xx responses
RETRY_HORIZON = timedelta(days=3)  # the same page: up to three days in live mode, each attempt signed anew
SIGNED_HEADERS: tuple[str, ...] = ("stripe-signature",)
BODY_LIMIT_BYTES: int | None = None
SECRET_FORM = "whsec_ and the characters shown with the endpoint; the prefix is part of the secret"  # noqa: S105
RECIPE = "stripe/1"

_SECRET = re.compile(r"\Awhsec_[!-~]{16,}\Z")
_PAYMENT_PREFIXES = ("payment_intent.", "charge.", "invoice.", "checkout.session.", "refund.", "payout.", "transfer.")
# how many endpoints still wait for this event: another number at each attempt
_VOLATILE = "pending_webhooks"
KEY_NAMES = KeyNames.NOBODY
PERSONAL_PATHS: tuple[str, ...] = tuple(
    f"data.object.{name}"
    for name in (
        "email",
        "name",
        "phone",
        "address",
        "shipping",
        "receipt_email",
        "billing_details",
        "customer_email",
        "customer_name",
        "customer_phone",
        "customer_address",
        "customer_shipping",
        "customer_details",
        "individual",
    )
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """Stripe leaves nothing to choose."""


def read_options(raw: Mapping[str, object]) -> Options:
    option_texts(raw, scheme=SCHEME)
    return Options()


def check_secret(value: str) -> None:
    if not _SECRET.match(value):
        raise ConfigurationError(f"the secret is malformed: a right one is {SECRET_FORM}")


def signed_headers(options: Options) -> tuple[str, ...]:  # noqa: ARG001
    return SIGNED_HEADERS


def verify(delivery: InboundDelivery, *, secrets: Sequence[Secret], options: Options, now_us: int) -> Secret | None:  # noqa: ARG001
    """1. header present; 2. one t, one to five v1, all well formed; 3. one signature right; 4. the time fresh."""
    timestamp, signatures = _elements(delivery.required("stripe-signature"))
    signed_at_seconds = timestamp_seconds(timestamp)
    candidates = [sha256_hex(signature) for signature in signatures]
    message = timestamp.encode("ascii") + b"." + delivery.body
    matched = match_any(candidates, [(secret, hmac_sha256(secret.value.encode(), message)) for secret in secrets])
    check_fresh(signed_at_seconds, now_us=now_us)
    return matched


def _elements(header: str) -> tuple[str, list[str]]:
    """The time and the v1 signatures; other schemes (v0 is for tests) are passed over."""
    elements = [element.partition("=") for element in header.split(",")]
    timestamps = [value for name, _, value in elements if name == "t"]
    signatures = [value for name, _, value in elements if name == "v1"]
    if len(timestamps) != 1 or not 1 <= len(signatures) <= SIGNATURES_LIMIT_COUNT:
        raise Refused(Reason.MALFORMED, f"Stripe-Signature does not have one t and 1 to {SIGNATURES_LIMIT_COUNT} v1")
    return timestamps[0], signatures


def handshake(delivery: InboundDelivery, *, options: Options) -> ImmediateReply | None:  # noqa: ARG001  (none)
    return None


def identify(delivery: InboundDelivery, *, options: Options) -> Sequence[IdentifiedEvent]:  # noqa: ARG001
    check_json_content_type(delivery)
    value = parse(delivery.body)
    if value is TOO_DEEP:
        return [unreadable_event(delivery.body, recipe=RECIPE)]
    if not isinstance(value, dict):
        raise BodyInvalid(f"the body is a JSON {type(value).__name__}: Stripe sends an object")
    message_id = text_at(value, ("id",)) or f"sha256:{sha256(delivery.body).hex()}"
    event_type = text_at(value, ("type",)) or "unknown"
    return [
        IdentifiedEvent(
            message_id=message_id,
            event_type=event_type,
            ordering_key=_ordering_key(value) or message_id,
            payload=delivery.body,
            identity_fields=(message_id,),
            recipe=RECIPE,
            content_sha256=content_digest({name: part for name, part in value.items() if name != _VOLATILE}),
            occurred_us=time_us_at(value, ("created",)),
            kind=Kind.PAYMENT if event_type.startswith(_PAYMENT_PREFIXES) else Kind.OTHER,
        )
    ]


def _ordering_key(value: object) -> str:
    """The object that changed: in the body of a snapshot event, only named in a thin one (`v2.core.event`)."""
    return text_at(value, ("data", "object", "id")) or text_at(value, ("related_object", "id"))


def sign(
    body: bytes,
    *,
    secret: Secret,
    options: Options,  # noqa: ARG001
    url: str,  # noqa: ARG001  (neither is signed here)
    now_us: int,
) -> tuple[Mapping[str, str], bytes]:
    timestamp = str(now_us // 1_000_000)
    digest = hmac_sha256(secret.value.encode(), timestamp.encode("ascii") + b"." + body)
    return {"Content-Type": "application/json", "Stripe-Signature": f"t={timestamp},v1={digest.hex()}"}, body
