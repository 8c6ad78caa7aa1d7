"""Brevo signs nothing: Basic credentials in the URL, or a bearer token. One event in each POST, or up to 500."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta

from ingestion.providers.adapter import (
    AckPolicy,
    BodyInvalid,
    IdentifiedEvent,
    ImmediateReply,
    InboundDelivery,
    KeyNames,
    Kind,
    Secret,
)
from ingestion.providers.credential import (
    CREDENTIAL_FORM,
    CredentialOptions,
    check_credential,
    credential_headers,
    read_credential_options,
    verify_credential,
)
from ingestion.providers.event_keys import content_digest, event_message_id, recipient_key, unreadable_event
from ingestion.providers.json_body import (
    TOO_DEEP,
    check_json_content_type,
    compact,
    parse,
    text_at,
    time_us_at,
    value_at,
)

SCHEME = "brevo"
# "Retry mechanism": only 429 and silence are sent again; every other 4xx and every 5xx discards the event for good.
# So busy and a fault of ours are 429, and a wrong credential (401) must alarm at once. What lies in quarantine is kept:
# it is acknowledged.
ACK = AckPolicy(success_status=200, busy_status=429, fault_status=429, timeout_status=429, conflict_status=200)
RETRY_HORIZON = timedelta(hours=12)  # after 10 minutes, 1, 2 and 8 h
SIGNED_HEADERS: tuple[str, ...] = ()  # the credential is not kept: it would be a secret at rest
BODY_LIMIT_BYTES: int | None = None
SECRET_FORM = CREDENTIAL_FORM
RECIPE = "brevo/1"

EVENTS_LIMIT_COUNT = 1_000  # "Batched webhooks": 500 by default
Options = CredentialOptions

# transactional email first, then the names that SMS events use ("Transactional webhooks")
_MESSAGE_NAMES = ("message-id", "messageId", "Uuid")
_TYPE_NAMES = ("event", "msg_status")
_RECIPIENT_NAMES = ("email", "to")
_KINDS = {
    "request": Kind.SENT,
    "sent": Kind.SENT,
    "accepted": Kind.SENT,
    "delivered": Kind.DELIVERED,
    "hard_bounce": Kind.BOUNCED,
    "soft_bounce": Kind.BOUNCED,
    "invalid_email": Kind.BOUNCED,
    "blocked": Kind.REJECTED,
    "error": Kind.REJECTED,
    "rejected": Kind.REJECTED,
    "spam": Kind.COMPLAINED,
    "complaint": Kind.COMPLAINED,
    "deferred": Kind.DEFERRED,
    "unique_opened": Kind.OPENED,
    "opened": Kind.OPENED,
    "unique_proxy_open": Kind.OPENED,
    "proxy_open": Kind.OPENED,
    "click": Kind.CLICKED,
    "unsubscribe": Kind.UNSUBSCRIBED,
    "unsubscribed": Kind.UNSUBSCRIBED,
    "reply": Kind.MESSAGE,
    "replied": Kind.MESSAGE,
    "inbound": Kind.MESSAGE,
}
KEY_NAMES = KeyNames.RECIPIENT
PERSONAL_PATHS: tuple[str, ...] = (
    "email",
    "to",
    "subject",
    "X-Mailin-custom",
    "ip",
    "user_agent",
    "reply",
    "content",
    "contact_id",
    "From",
    "To",
    "Cc",
    "ReplyTo",
    "Recipients",
    "Subject",
    "RawHtmlBody",
    "RawTextBody",
    "ExtractedMarkdownMessage",
    "Headers",
    "Attachments",
)


def read_options(raw: Mapping[str, object]) -> Options:
    return read_credential_options(raw, scheme=SCHEME)


def check_secret(value: str) -> None:
    check_credential(value)


def signed_headers(options: Options) -> tuple[str, ...]:  # noqa: ARG001
    return SIGNED_HEADERS


def verify(delivery: InboundDelivery, *, secrets: Sequence[Secret], options: Options, now_us: int) -> Secret | None:  # noqa: ARG001
    """1. header present; 2. well formed; 3. the credential right. Neither body nor time is proved by anything."""
    return verify_credential(delivery, secrets=secrets, options=options)


def provable(secrets: Sequence[Secret], options: Options) -> None:
    """Nothing is signed, and the credential is not kept."""


def handshake(delivery: InboundDelivery, *, options: Options) -> ImmediateReply | None:  # noqa: ARG001  (none)
    return None


def identify(delivery: InboundDelivery, *, options: Options) -> Sequence[IdentifiedEvent]:  # noqa: ARG001
    """An object is one event, an array a batch, one with `items` inbound mail. A refusal here loses it for good."""
    check_json_content_type(delivery)
    value = parse(delivery.body)
    if value is TOO_DEEP:
        return [unreadable_event(delivery.body, recipe=RECIPE)]
    items = value_at(value, ("items",))
    if isinstance(items, list) and items:
        return [_event(item, payload=compact(item), event_type="inbound") for item in _limited(items)]
    if isinstance(value, list):
        return [_event(item, payload=compact(item), event_type=_first(item, _TYPE_NAMES)) for item in _limited(value)]
    if not isinstance(value, dict):
        raise BodyInvalid(f"the body is a JSON {type(value).__name__}: Brevo sends an object or an array of them")
    return [_event(value, payload=delivery.body, event_type=_first(value, _TYPE_NAMES))]


def _limited(items: list[object]) -> list[object]:
    if not 1 <= len(items) <= EVENTS_LIMIT_COUNT:
        raise BodyInvalid(f"the body has {len(items)} events: 1 to {EVENTS_LIMIT_COUNT} are taken")
    return items


def _first(value: object, names: Sequence[str]) -> str:
    """The first of these fields that has a text; of a list of texts, its first."""
    found = (text_at(value, (name,)) or text_at(value, (name, "0")) for name in names)
    return next(filter(None, found), "")


def _event(value: object, *, payload: bytes, event_type: str) -> IdentifiedEvent:
    event_type = event_type or "unknown"
    email, recipient = _first(value, _MESSAGE_NAMES), _first(value, _RECIPIENT_NAMES)
    content = content_digest(value)  # not of the payload: an event alone and in a batch is the same
    identity = _identity(value, event_type=event_type, email=email, recipient=recipient) or (event_type, content.hex())
    message_id = event_message_id(email, fields=identity)
    return IdentifiedEvent(
        message_id=message_id,
        event_type=event_type,
        ordering_key=f"{email}:{recipient_key(recipient)}" if email else recipient_key(recipient) or message_id,
        payload=payload,
        identity_fields=identity,
        recipe=RECIPE,
        content_sha256=content,
        # date and ts are in the account's time zone; ts_epoch is when the message was sent, in milliseconds
        occurred_us=time_us_at(value, ("ts_event",)),
        kind=_KINDS.get(event_type, Kind.OTHER),
    )


def _identity(value: object, *, event_type: str, email: str, recipient: str) -> tuple[str, ...]:
    """Empty without a message's id: then only the content tells. `id` is the webhook's number, not the event's."""
    if not email:
        return ()
    times_and_link = (text_at(value, (name,)) for name in ("ts_event", "ts_epoch", "link"))
    return (email, event_type, recipient, *times_and_link)


def sign(
    body: bytes,
    *,
    secret: Secret,
    options: Options,
    url: str,  # noqa: ARG001
    now_us: int,  # noqa: ARG001  (nothing is signed here)
) -> tuple[Mapping[str, str], bytes]:
    return {"Content-Type": "application/json", **credential_headers(secret=secret, options=options)}, body
