"""Svix, and those who send through it (Resend): Standard Webhooks named `svix-id`, `svix-timestamp`, `svix-signature`.

The `webhook-*` names are taken too, as Svix's own libraries do: a sender may have been moved to them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta

from autocom.kernel.digest import sha256
from ingestion.providers import standard
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
from ingestion.providers.event_kind import kind_by_last_word
from ingestion.providers.json_body import TOO_DEEP, check_json_content_type, parse, text_at, time_us_at
from ingestion.providers.option_texts import dotted_path, option_texts
from ingestion.providers.standard import WEBHOOK_HEADERS, HeaderNames, headers_for, verify_signed

SCHEME = "svix"
ACK = AckPolicy()  # any 2xx within 15 s; only the header webhook-delivery stops anything, and we never send it
RETRY_HORIZON = timedelta(days=5)  # 8 attempts in 28 h; endpoints that fail for 5 days are disabled
SIGNED_HEADERS: tuple[str, ...] = ("svix-id", "svix-timestamp", "svix-signature", *standard.SIGNED_HEADERS)
BODY_LIMIT_BYTES: int | None = None
SECRET_FORM = standard.SECRET_FORM
RECIPE = "svix/1"

SVIX_HEADERS = HeaderNames("svix-id", "svix-timestamp", "svix-signature")
_ORDERING_KEY_PATHS = (("data", "email_id"), ("data", "id"))  # Resend's emails first
_OCCURRED_AT_PATHS = (("created_at",), ("timestamp",))  # data.created_at is the message's time, not the event's
_KINDS = {
    "email.delivery_delayed": Kind.DEFERRED,
    "email.failed": Kind.REJECTED,
    "email.suppressed": Kind.REJECTED,
    "email.received": Kind.MESSAGE,
}
KEY_NAMES = KeyNames.CHOSEN
PERSONAL_PATHS: tuple[str, ...] = (
    "data.to",
    "data.cc",
    "data.bcc",
    "data.from",
    "data.reply_to",
    "data.subject",
    "data.headers",
    "data.click.ipAddress",
    "data.click.userAgent",
    "data.open.ipAddress",
    "data.open.userAgent",
    "data.email",
    "data.first_name",
    "data.last_name",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    ordering_key_path: tuple[str, ...] = ()  # empty: data.email_id, else data.id


def read_options(raw: Mapping[str, object]) -> Options:
    texts = option_texts(raw, scheme=SCHEME, known=("ordering_key_path",))
    return Options(ordering_key_path=dotted_path(texts, "ordering_key_path", ()))


def check_secret(value: str) -> None:
    standard.check_secret(value)


def signed_headers(options: Options) -> tuple[str, ...]:  # noqa: ARG001
    return SIGNED_HEADERS


def verify(delivery: InboundDelivery, *, secrets: Sequence[Secret], options: Options, now_us: int) -> Secret | None:  # noqa: ARG001
    """1. which family of headers; 2. to 5. as in Standard Webhooks."""
    return verify_signed(delivery, names=_names(delivery), secrets=secrets, now_us=now_us)


def _names(delivery: InboundDelivery) -> HeaderNames:
    """One family for all three: the id that identifies must be the id that was signed."""
    return SVIX_HEADERS if SVIX_HEADERS.message_id in delivery.headers else WEBHOOK_HEADERS


def handshake(delivery: InboundDelivery, *, options: Options) -> ImmediateReply | None:  # noqa: ARG001  (none)
    return None


def identify(delivery: InboundDelivery, *, options: Options) -> Sequence[IdentifiedEvent]:
    check_json_content_type(delivery)
    value = parse(delivery.body)
    if value is not TOO_DEEP and not isinstance(value, dict):
        raise BodyInvalid(f"the body is a JSON {type(value).__name__}: Svix sends an object")
    message_id = delivery.required(_names(delivery).message_id)  # stable over retries
    event_type = text_at(value, ("type",)) or text_at(value, ("event_type",)) or "unknown"
    paths = (options.ordering_key_path,) if options.ordering_key_path else _ORDERING_KEY_PATHS
    times = (time_us_at(value, path) for path in _OCCURRED_AT_PATHS)
    return [
        IdentifiedEvent(
            message_id=message_id,
            event_type=event_type,
            ordering_key=next(filter(None, (text_at(value, path) for path in paths)), message_id),
            payload=delivery.body,
            identity_fields=(message_id,),
            recipe=RECIPE,
            content_sha256=sha256(delivery.body),
            occurred_us=next((time_us for time_us in times if time_us is not None), None),
            kind=_KINDS.get(event_type) or kind_by_last_word(event_type),
        )
    ]


def sign(
    body: bytes,
    *,
    secret: Secret,
    options: Options,  # noqa: ARG001
    url: str,  # noqa: ARG001  (neither is signed here)
    now_us: int,
) -> tuple[Mapping[str, str], bytes]:
    return headers_for(body, names=SVIX_HEADERS, secret=secret, now_us=now_us), body


def sign_again(
    body: bytes,
    *,
    recorded: Mapping[str, str],
    secret: Secret,
    options: Options,  # noqa: ARG001
    url: str,  # noqa: ARG001  (neither is signed here)
    now_us: int,
) -> tuple[Mapping[str, str], bytes]:
    """As `sign`, under the recorded id, which is signed, and in the recorded family of headers."""
    names = WEBHOOK_HEADERS if WEBHOOK_HEADERS.message_id in recorded else SVIX_HEADERS
    message_id = recorded.get(names.message_id, "")
    return headers_for(body, names=names, secret=secret, now_us=now_us, message_id=message_id), body
