"""Mandrill (Mailchimp Transactional): `X-Mandrill-Signature` is an HMAC-SHA1 of the URL and the form's sorted fields.

The form has one field, `mandrill_events`, a JSON array. No time is signed, so freshness cannot be checked.
"""

from __future__ import annotations

import base64
import hmac
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from autocom.kernel.errors import ConfigurationError
from autocom.kernel.ids import EVENTS_PER_DELIVERY_LIMIT
from ingestion.providers.adapter import (
    SIGNED_URL,
    AckPolicy,
    BodyInvalid,
    ContentTypeUnsupported,
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
from ingestion.providers.event_keys import content_digest, event_message_id, recipient_key, unreadable_event
from ingestion.providers.form_body import FORM_CONTENT_TYPE, Pairs, encode_form, form_text, parse_form, signed_form
from ingestion.providers.json_body import TOO_DEEP, compact, parse, text_at, time_us_at, value_at
from ingestion.providers.option_texts import option_texts
from ingestion.providers.signature_text import canonical_base64

SCHEME = "mandrill"
# "Webhooks" asks for 200 at set-up; that other 2xx are taken for success is nowhere said, so 200 it is. What fails is
# retried until an operator gives up ("Can I stop a failed webhook batch from retrying?"), so a conflict, which is kept
# in quarantine, is answered with 200 too: nothing else would end it.
ACK = AckPolicy(success_status=200, conflict_status=200, head_status=200)
RETRY_HORIZON = timedelta(days=7)  # the schedule is not documented; batches wait until they pass or are given up
SIGNATURE = "x-mandrill-signature"
SIGNED_HEADERS: tuple[str, ...] = (SIGNATURE, SIGNED_URL)
BODY_LIMIT_BYTES: int | None = 8_388_608  # 1,000 events of a form-encoded 2 to 8 kB each; no size is documented
SECRET_FORM = "the webhook's own key from the Webhooks page, about 22 letters, digits, - and _"  # noqa: S105
RECIPE = "mandrill/1"

EVENTS_FIELD = "mandrill_events"
SETUP_KEY = b"test-webhook"  # signs the empty batch that Mandrill posts before the webhook, and so its key, exists
EMPTY_BATCH_LIMIT_BYTES = 64
_KEY = re.compile(r"\A[!-~]{16,128}\Z")


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """Mandrill leaves nothing to choose but the URL."""


def read_options(raw: Mapping[str, object]) -> Options:
    option_texts(raw, scheme=SCHEME)
    return Options()


def check_secret(value: str) -> None:
    if value.encode("utf-8", "surrogatepass") == SETUP_KEY or not _KEY.match(value):
        raise ConfigurationError(f"the key is malformed: use {SECRET_FORM}")


def signed_headers(options: Options) -> tuple[str, ...]:  # noqa: ARG001
    return SIGNED_HEADERS


def verify(
    delivery: InboundDelivery,
    *,
    secrets: Sequence[Secret],
    options: Options,  # noqa: ARG001  (there are none)
    now_us: int,  # noqa: ARG001  (no time is signed)
) -> Secret | None:
    """1. canonical base64; 2. a form without repeated names: what is signed is what is read; 3. HMAC of one key.

    The empty batch may be signed with the set-up key, which everybody knows: None is returned, and nothing is stored.
    """
    candidate = canonical_base64(delivery.required(SIGNATURE))
    if delivery.content_type != FORM_CONTENT_TYPE:
        raise Refused(Reason.MALFORMED, f"Content-Type is not {FORM_CONTENT_TYPE}")
    pairs = signed_form(delivery)
    if len({name for name, _ in pairs}) != len(pairs):
        raise Refused(Reason.MALFORMED, "a form field is repeated")
    message = _signed_content(delivery.url, pairs)
    if _is_empty_batch(pairs) and hmac.compare_digest(candidate, hmac.digest(SETUP_KEY, message, "sha1")):
        return None
    if not secrets:
        raise Refused(Reason.NO_SECRET)
    return match_any([candidate], [(secret, hmac.digest(secret.value.encode(), message, "sha1")) for secret in secrets])


def _signed_content(url: str, pairs: Pairs) -> bytes:
    return (url + "".join(name + value for name, value in sorted(pairs))).encode("utf-8", "surrogatepass")


def _is_empty_batch(pairs: Pairs) -> bool:
    return [(name, value.strip()) for name, value in pairs] == [(EVENTS_FIELD, "[]")]


def handshake(delivery: InboundDelivery, *, options: Options) -> ImmediateReply | None:  # noqa: ARG001
    """Mandrill posts an empty batch when a webhook is made, and makes it only after a 200."""
    if len(delivery.body) > EMPTY_BATCH_LIMIT_BYTES:
        return None  # a full batch is a megabyte to decode, and was decoded by verify already
    try:
        return ImmediateReply(body=b"{}") if _is_empty_batch(parse_form(delivery.body)) else None
    except BodyInvalid:
        return None


def identify(delivery: InboundDelivery, *, options: Options) -> Sequence[IdentifiedEvent]:  # noqa: ARG001
    if delivery.content_type != FORM_CONTENT_TYPE:
        raise ContentTypeUnsupported(f"Content-Type is not {FORM_CONTENT_TYPE}")
    text = form_text(delivery.body, EVENTS_FIELD).encode()
    value = parse(text)
    if value is TOO_DEEP:
        return [unreadable_event(text, recipe=RECIPE)]
    if not isinstance(value, list) or not 1 <= len(value) <= EVENTS_PER_DELIVERY_LIMIT:
        raise BodyInvalid(f"{EVENTS_FIELD} is not an array of 1 to {EVENTS_PER_DELIVERY_LIMIT} events")
    try:
        return [_event(element) for element in value]
    except RecursionError:
        return [unreadable_event(text, recipe=RECIPE)]


_KINDS: Final = {
    "send": Kind.SENT,
    "delivered": Kind.DELIVERED,
    "deferral": Kind.DEFERRED,
    "hard_bounce": Kind.BOUNCED,
    "soft_bounce": Kind.BOUNCED,
    "open": Kind.OPENED,
    "click": Kind.CLICKED,
    "spam": Kind.COMPLAINED,
    "unsub": Kind.UNSUBSCRIBED,
    "reject": Kind.REJECTED,
    "inbound": Kind.MESSAGE,
}
# An open or a click also tells where and with what: two people behind one address in one second stay two events.
_DETAILS: Final = ("url", "ip", "user_agent")
# What Mandrill knows of the message when it sends, not of the event: it grows between two sendings of one event.
_MESSAGE_STATE: Final = frozenset({"opens", "clicks", "smtp_events", "resends", "state"})
KEY_NAMES = KeyNames.RECIPIENT
PERSONAL_PATHS: tuple[str, ...] = (
    "msg.email",
    "msg.sender",
    "msg.subject",
    "msg.from_email",
    "msg.from_name",
    "msg.to",
    "msg.headers",
    "msg.raw_msg",
    "msg.text",
    "msg.html",
    "msg.metadata",
    "msg.opens",
    "msg.clicks",
    "msg.diag",
    "ip",
    "location",
    "user_agent",
    "reject.email",
    "reject.detail",
)


def _event(element: object) -> IdentifiedEvent:
    content = content_digest(_stable(element))
    sync, name = text_at(element, ("type",)), text_at(element, ("event",))
    base = text_at(element, ("_id",))
    address = text_at(element, ("msg", "email")) or text_at(element, ("reject", "email"))
    seconds = text_at(element, ("ts",))
    if sync and not name:  # a denylist or safelist changed: "Sync Events" names type, action and reject.email
        event_type = ".".join(filter(None, (sync, text_at(element, ("action",)))))
        fields: tuple[str, ...] = ("sync", sync, text_at(element, ("action",)), address, seconds)
    else:
        event_type = name or "unknown"
        fields = ("message", base, name, seconds, *(text_at(element, (each,)) for each in _DETAILS))
        if not base:  # inbound messages, and whatever comes without an id
            fields += (address, content.hex())
    message_id = event_message_id(base, fields=fields)
    return IdentifiedEvent(
        message_id=message_id,
        event_type=event_type,
        ordering_key=base or recipient_key(address) or message_id,
        payload=compact(element),
        identity_fields=fields,
        recipe=RECIPE,
        content_sha256=content,
        occurred_us=time_us_at(element, ("ts",)),
        kind=_KINDS.get(event_type, Kind.OTHER),
    )


def _stable(element: object) -> object:
    message = value_at(element, ("msg",))
    if not isinstance(element, dict) or not isinstance(message, dict):
        return element
    return {**element, "msg": {name: value for name, value in message.items() if name not in _MESSAGE_STATE}}


def sign(
    body: bytes,
    *,
    secret: Secret,
    options: Options,  # noqa: ARG001
    url: str,
    now_us: int,  # noqa: ARG001
) -> tuple[Mapping[str, str], bytes]:
    """Signs the form; a JSON array or a single event is put into one first."""
    text = body.strip()
    if text.startswith((b"[", b"{")):
        body = encode_form([(EVENTS_FIELD, (text if text.startswith(b"[") else b"[" + text + b"]").decode())])
    digest = hmac.digest(secret.value.encode(), _signed_content(url, parse_form(body)), "sha1")
    return {"Content-Type": FORM_CONTENT_TYPE, "X-Mandrill-Signature": base64.b64encode(digest).decode()}, body
