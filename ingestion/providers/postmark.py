"""Postmark signs nothing: Basic credentials, or a header of our own, set with the webhook. One event in each POST."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta

from autocom.kernel.digest import sha256
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
from ingestion.providers.json_body import TOO_DEEP, check_json_content_type, parse, text_at, time_us_at, value_at

SCHEME = "postmark"
# 200 alone is success. For inbound mail 403 stops, all else is sent again. Events are sent again after 5xx, 408, 429
# and silence only (Postmark's own "postmark-webhooks" skill, 1.1.0): any other 4xx, our 401 too, drops the event, so a
# wrong credential must alarm at once. What lies in quarantine is kept: it is acknowledged.
ACK = AckPolicy(success_status=200, conflict_status=200)
RETRY_HORIZON = timedelta(hours=11)  # inbound: 10 resends in 10.5 h; events: 70 minutes at the most
SIGNED_HEADERS: tuple[str, ...] = ()  # the credential is not kept: it would be a secret at rest
BODY_LIMIT_BYTES: int | None = None
SECRET_FORM = CREDENTIAL_FORM
RECIPE = "postmark/1"

Options = CredentialOptions

_TIME_NAMES = ("DeliveredAt", "BouncedAt", "ReceivedAt", "ChangedAt")
_KINDS = {
    "Delivery": Kind.DELIVERED,
    "Bounce": Kind.BOUNCED,
    "SpamComplaint": Kind.COMPLAINED,
    "Open": Kind.OPENED,
    "Click": Kind.CLICKED,
    "SubscriptionChange": Kind.UNSUBSCRIBED,
    "Inbound": Kind.MESSAGE,
}
_BOUNCE_KINDS = {
    "Transient": Kind.DEFERRED,
    "DnsError": Kind.DEFERRED,
    "OpenRelayTest": Kind.DEFERRED,
    "Unsubscribe": Kind.UNSUBSCRIBED,
    "SpamNotification": Kind.COMPLAINED,
    "SpamComplaint": Kind.COMPLAINED,
    "BadEmailAddress": Kind.REJECTED,
    "ManuallyDeactivated": Kind.REJECTED,
    "Unconfirmed": Kind.REJECTED,
    "Blocked": Kind.REJECTED,
    "DMARCPolicy": Kind.REJECTED,
    "SMTPApiError": Kind.REJECTED,
    "TemplateRenderingFailed": Kind.REJECTED,
    "Subscribe": Kind.OTHER,
    "AutoResponder": Kind.OTHER,
    "AddressChange": Kind.OTHER,
    "ChallengeVerification": Kind.OTHER,
    "InboundError": Kind.OTHER,
    "Unknown": Kind.OTHER,
}
KEY_NAMES = KeyNames.RECIPIENT
PERSONAL_PATHS: tuple[str, ...] = (
    "Email",
    "Recipient",
    "From",
    "FromName",
    "FromFull",
    "To",
    "ToFull",
    "Cc",
    "CcFull",
    "Bcc",
    "BccFull",
    "OriginalRecipient",
    "ReplyTo",
    "Subject",
    "Details",
    "Content",
    "TextBody",
    "HtmlBody",
    "StrippedTextReply",
    "RawEmail",
    "Headers",
    "Attachments",
    "Geo",
    "UserAgent",
    "Metadata",
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


def handshake(delivery: InboundDelivery, *, options: Options) -> ImmediateReply | None:  # noqa: ARG001  (test events are events)
    return None


def identify(delivery: InboundDelivery, *, options: Options) -> Sequence[IdentifiedEvent]:  # noqa: ARG001
    check_json_content_type(delivery)
    value = parse(delivery.body)
    if value is TOO_DEEP:
        return [unreadable_event(delivery.body, recipe=RECIPE)]
    if not isinstance(value, dict):
        raise BodyInvalid(f"the body is a JSON {type(value).__name__}: Postmark sends an object")
    record_type = _record_type(value)
    detail = text_at(value, ("Type",))
    identity = _identity(value, record_type=record_type, detail=detail, body=delivery.body)
    email, recipient = text_at(value, ("MessageID",)), _recipient(value)
    message_id = event_message_id(email, fields=identity)
    return [
        IdentifiedEvent(
            message_id=message_id,
            event_type=f"{record_type}.{detail}" if detail and detail != record_type else record_type,
            ordering_key=f"{email}:{recipient_key(recipient)}" if email else message_id,
            payload=delivery.body,
            identity_fields=identity,
            recipe=RECIPE,
            content_sha256=content_digest(value),
            occurred_us=_occurred_us(value),
            kind=_kind(value, record_type=record_type, detail=detail),
        )
    ]


def _record_type(value: object) -> str:
    """Inbound mail has no RecordType, but a FromFull."""
    return text_at(value, ("RecordType",)) or ("Inbound" if value_at(value, ("FromFull",)) is not None else "unknown")


def _recipient(value: object) -> str:
    return text_at(value, ("Email",)) or text_at(value, ("Recipient",)) or text_at(value, ("OriginalRecipient",))


def _identity(value: object, *, record_type: str, detail: str, body: bytes) -> tuple[str, ...]:
    """Bounces and complaints have an ID. Others are their message, recipient, time and link: each open is an event."""
    server, email, bounce = (text_at(value, (name,)) for name in ("ServerID", "MessageID", "ID"))
    if bounce:
        return (record_type, detail, server, bounce)
    if not email:
        return (record_type, sha256(body).hex())
    moment = next(filter(None, (text_at(value, (name,)) for name in _TIME_NAMES)), "")
    return (record_type, detail, server, email, _recipient(value), moment, text_at(value, ("OriginalLink",)))


def _occurred_us(value: object) -> int | None:
    times = (time_us_at(value, (name,)) for name in _TIME_NAMES)
    return next((time_us for time_us in times if time_us is not None), None)


def _kind(value: object, *, record_type: str, detail: str) -> Kind:
    kind = _KINDS.get(record_type, Kind.OTHER)
    if kind in (Kind.BOUNCED, Kind.COMPLAINED):
        return _BOUNCE_KINDS.get(detail, kind)
    if record_type != "SubscriptionChange":
        return kind
    if value_at(value, ("SuppressSending",)) is False:
        return Kind.OTHER  # subscribed again
    return {"HardBounce": Kind.BOUNCED, "SpamComplaint": Kind.COMPLAINED}.get(
        text_at(value, ("SuppressionReason",)), kind
    )


def sign(
    body: bytes,
    *,
    secret: Secret,
    options: Options,
    url: str,  # noqa: ARG001
    now_us: int,  # noqa: ARG001  (nothing is signed here)
) -> tuple[Mapping[str, str], bytes]:
    return {"Content-Type": "application/json", **credential_headers(secret=secret, options=options)}, body
