"""SendGrid Event Webhook: ECDSA on P-256 with SHA-256 over timestamp and raw body, checked with a public key.

Whether a retry is signed with a new time is not documented, so freshness is not checked: only identities stop a replay.
Neither the signature nor `sg_event_id` identifies anything: one has two valid forms, the other changes when SendGrid
sends an event again (issue 1435 of sendgrid-nodejs).
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import lru_cache
from typing import Final

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_der_private_key, load_der_public_key

from autocom.kernel.errors import ConfigurationError
from autocom.kernel.ids import EVENTS_PER_DELIVERY_LIMIT
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
    timestamp_seconds,
)
from ingestion.providers.event_keys import content_digest, event_message_id, recipient_key, unreadable_event
from ingestion.providers.json_body import TOO_DEEP, check_json_content_type, compact, parse, text_at, time_us_at
from ingestion.providers.option_texts import option_texts
from ingestion.providers.signature_text import canonical_base64

SCHEME = "sendgrid"
# Any 2xx is success; everything else is retried for 24 h and nothing stops it. A conflict is kept in quarantine, so it
# is answered like a success: 409 would bring the whole batch back for a day.
ACK = AckPolicy(conflict_status=202)
RETRY_HORIZON = timedelta(hours=24)
SIGNATURE = "x-twilio-email-event-webhook-signature"
TIMESTAMP = "x-twilio-email-event-webhook-timestamp"
SIGNED_HEADERS: tuple[str, ...] = (SIGNATURE, TIMESTAMP)
BODY_LIMIT_BYTES: int | None = 786_432  # a batch is closed at 768 kB, or after 30 s
SECRET_FORM = "the webhook's verification key, base64 of a P-256 public key; to sign tests, of a PKCS #8 private key"  # noqa: S105
RECIPE = "sendgrid/1"

_ARMOUR = re.compile(r"-----[A-Z ]+-----|\s")

type _Key = ec.EllipticCurvePublicKey | ec.EllipticCurvePrivateKey


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """SendGrid leaves nothing to choose."""


def read_options(raw: Mapping[str, object]) -> Options:
    option_texts(raw, scheme=SCHEME)
    return Options()


def check_secret(value: str) -> None:
    _key(value)


@lru_cache(maxsize=64)
def _key(value: str) -> _Key:
    """The P-256 key, PEM lines or none. Raises ConfigurationError."""
    try:
        der = base64.b64decode(_ARMOUR.sub("", value), validate=True)
    except (binascii.Error, ValueError):
        raise ConfigurationError(f"the key is not base64: use {SECRET_FORM}") from None
    for key in (_loaded(der, private=False), _loaded(der, private=True)):
        if isinstance(key, ec.EllipticCurvePublicKey | ec.EllipticCurvePrivateKey) and key.curve.name == "secp256r1":
            return key
    raise ConfigurationError(f"the key is not one of the curve P-256: use {SECRET_FORM}")


def _loaded(der: bytes, *, private: bool) -> object:
    try:
        return load_der_private_key(der, password=None) if private else load_der_public_key(der)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        return None


def signed_headers(options: Options) -> tuple[str, ...]:  # noqa: ARG001
    return SIGNED_HEADERS


def verify(
    delivery: InboundDelivery,
    *,
    secrets: Sequence[Secret],
    options: Options,  # noqa: ARG001  (there are none)
    now_us: int,  # noqa: ARG001  (no freshness: see above)
) -> Secret | None:
    """1. timestamp of ten digits; 2. body that starts with "[": so no byte can move between them unseen; 3. signature.

    The body is taken as it came: it may end in a line end, which is signed too.
    """
    if not secrets:
        raise Refused(Reason.NO_SECRET)
    signature = canonical_base64(delivery.required(SIGNATURE))
    timestamp = delivery.required(TIMESTAMP)
    timestamp_seconds(timestamp)
    if not delivery.body.startswith(b"["):
        raise Refused(Reason.MALFORMED, "the body does not start with [")
    message = timestamp.encode("ascii") + delivery.body
    for secret in secrets:  # an early exit is safe: nothing secret is computed with a public key
        if _holds(secret, signature, message):
            return secret
    raise Refused(Reason.WRONG_SIGNATURE)


def _holds(secret: Secret, signature: bytes, message: bytes) -> bool:
    try:
        key = _key(secret.value)
        public_key = key.public_key() if isinstance(key, ec.EllipticCurvePrivateKey) else key
        public_key.verify(signature, message, ec.ECDSA(SHA256()))
    except (InvalidSignature, ValueError, ConfigurationError):
        return False
    return True


def handshake(delivery: InboundDelivery, *, options: Options) -> ImmediateReply | None:  # noqa: ARG001
    """An empty array holds nothing to store, and no status but success would end it."""
    return ImmediateReply(body=b"{}") if delivery.body.strip() == b"[]" else None


def identify(delivery: InboundDelivery, *, options: Options) -> Sequence[IdentifiedEvent]:  # noqa: ARG001
    check_json_content_type(delivery)
    value = parse(delivery.body)
    if value is TOO_DEEP:
        return [unreadable_event(delivery.body, recipe=RECIPE)]
    if not isinstance(value, list) or not 1 <= len(value) <= EVENTS_PER_DELIVERY_LIMIT:
        raise BodyInvalid(f"the body is not an array of 1 to {EVENTS_PER_DELIVERY_LIMIT} events, as SendGrid sends")
    try:
        return [_event(element) for element in value]
    except RecursionError:
        return [unreadable_event(delivery.body, recipe=RECIPE)]


# What makes an event of a type itself, beside event, email, timestamp and message. The browser and the suppression
# group are there so that two people behind one address, or two groups left at once, stay two events.
_DETAILS: Final = {
    "click": ("url", "ip", "useragent"),
    "open": ("ip", "useragent"),
    "deferred": ("attempt",),
    "bounce": ("type", "status", "reason"),
    "group_unsubscribe": ("asm_group_id",),
    "group_resubscribe": ("asm_group_id",),
}
_KINDS: Final = {
    "processed": Kind.SENT,
    "delivered": Kind.DELIVERED,
    "deferred": Kind.DEFERRED,
    "bounce": Kind.BOUNCED,
    "dropped": Kind.REJECTED,
    "open": Kind.OPENED,
    "click": Kind.CLICKED,
    "spamreport": Kind.COMPLAINED,
    "unsubscribe": Kind.UNSUBSCRIBED,
    "group_unsubscribe": Kind.UNSUBSCRIBED,
}
KEY_NAMES = KeyNames.RECIPIENT
PERSONAL_PATHS: tuple[str, ...] = ("email", "ip", "useragent", "reason", "response")


def _event(element: object) -> IdentifiedEvent:
    event_type = text_at(element, ("event",)) or "unknown"
    email = text_at(element, ("email",))
    message = text_at(element, ("sg_message_id",)) or text_at(element, ("smtp-id",))
    named = element if isinstance(element, dict) else {}
    stable = {name: each for name, each in named.items() if name != "sg_event_id"} or element
    content = content_digest(stable)
    details = tuple(f"{name}={text_at(element, (name,))}" for name in _DETAILS.get(event_type, ()))
    # without message and address nothing tells two events apart but what they say
    fields = (event_type, email, text_at(element, ("timestamp",)), message, *details) + (
        () if message or email else (content.hex(),)
    )
    message_id = event_message_id(message, fields=fields)
    return IdentifiedEvent(
        message_id=message_id,
        event_type=event_type,
        ordering_key=":".join(filter(None, (message, recipient_key(email)))) or message_id,
        payload=compact(element),
        identity_fields=fields,
        recipe=RECIPE,
        content_sha256=content,
        occurred_us=time_us_at(element, ("timestamp",)),
        kind=_KINDS.get(event_type, Kind.OTHER),
    )


def sign(
    body: bytes,
    *,
    secret: Secret,
    options: Options,  # noqa: ARG001
    url: str,  # noqa: ARG001  (the URL is not signed)
    now_us: int,
) -> tuple[Mapping[str, str], bytes]:
    """Signs with a private key, wrapping a single event into an array. Raises ConfigurationError for a public key."""
    key = _key(secret.value)
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise ConfigurationError("only SendGrid can sign for this key: give a test provider a private key of its own")
    if body.lstrip().startswith(b"{"):
        body = b"[" + body.strip() + b"]"
    timestamp = str(now_us // 1_000_000)
    signature = key.sign(timestamp.encode() + body, ec.ECDSA(SHA256()))
    headers = {
        "Content-Type": "application/json",
        "X-Twilio-Email-Event-Webhook-Signature": base64.b64encode(signature).decode(),
        "X-Twilio-Email-Event-Webhook-Timestamp": timestamp,
    }
    return headers, body
