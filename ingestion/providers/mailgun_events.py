"""What Mailgun's events tell, in JSON and in the forms of before 2018, and what makes two of them the same."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final

from ingestion.providers.adapter import IdentifiedEvent, Kind
from ingestion.providers.event_keys import content_digest, event_message_id, recipient_key
from ingestion.providers.form_body import form_json, parse_form
from ingestion.providers.json_body import compact, text_at, time_us_at

RECIPE = "mailgun/1"
SIGNATURE_NAMES: Final = ("timestamp", "token", "signature")

_KINDS: Final = {
    "delivered": Kind.DELIVERED,
    "failed.permanent": Kind.BOUNCED,
    "failed.temporary": Kind.DEFERRED,
    "failed": Kind.BOUNCED,
    "bounced": Kind.BOUNCED,
    "dropped": Kind.REJECTED,
    "rejected": Kind.REJECTED,
    "opened": Kind.OPENED,
    "clicked": Kind.CLICKED,
    "complained": Kind.COMPLAINED,
    "unsubscribed": Kind.UNSUBSCRIBED,
    "inbound": Kind.MESSAGE,
}
_MESSAGE_ID: Final = ("message", "headers", "message-id")
PERSONAL: Final = (
    "recipient",
    "ip",
    "geolocation",
    "client-info",
    "envelope",
    "message.headers.to",
    "message.headers.from",
    "message.headers.subject",
    "message.recipients",
    "delivery-status.message",
    "delivery-status.description",
    # of the forms of before 2018
    *("sender", "from", "city", "user-agent", "subject", "body-plain", "message-headers"),
)


def event_of(event: object) -> IdentifiedEvent:
    """Identity: account, id and UTC day, as an id is unique within a day only; else what the event says."""
    name, severity = text_at(event, ("event",)) or "unknown", text_at(event, ("severity",))
    event_type = f"{name}.{severity}" if severity else name
    event_id, occurred_us = text_at(event, ("id",)), time_us_at(event, ("timestamp",))
    content = content_digest(event)
    day = _utc_day(occurred_us)
    fields = ("event", text_at(event, ("account", "id")), event_id or content.hex(), day)
    recipient, message = text_at(event, ("recipient",)), text_at(event, _MESSAGE_ID)
    return IdentifiedEvent(
        message_id=event_message_id(event_id, fields=fields),
        event_type=event_type,
        ordering_key=":".join(filter(None, (message, recipient_key(recipient)))) or event_id or content.hex(),
        payload=compact(event),
        identity_fields=fields,
        recipe=RECIPE,
        content_sha256=content,
        occurred_us=occurred_us,
        kind=_KINDS.get(event_type, _KINDS.get(name, Kind.OTHER)),
    )


def _utc_day(moment_us: int | None) -> str:
    try:
        return "" if moment_us is None else datetime.fromtimestamp(moment_us // 1_000_000, tz=UTC).date().isoformat()
    except (ValueError, OverflowError, OSError):
        return ""


def legacy_event(body: bytes) -> IdentifiedEvent:
    """A form as before 2018, or a route's inbound message. It has no event id, and no time but the signature's."""
    pairs = parse_form(body)
    form = dict(pairs)
    first = dict(reversed(pairs))  # of repeated names the first is Mailgun's, save for the signature's three
    event_type = first.get("event") or "inbound"
    message = first.get("Message-Id") or first.get("message-id", "")
    recipient, timestamp = first.get("recipient", ""), form.get("timestamp", "")
    stable = sorted(pair for pair in pairs if pair[0] not in SIGNATURE_NAMES)
    content = content_digest(stable)
    fields = (
        "form",
        event_type,
        first.get("domain", ""),
        message or content.hex(),
        recipient,
        timestamp,
        first.get("url", ""),
    )
    return IdentifiedEvent(
        message_id=event_message_id(message, fields=fields),
        event_type=event_type,
        ordering_key=":".join(filter(None, (message, recipient_key(recipient)))) or content.hex(),
        payload=form_json(pairs),
        identity_fields=fields,
        recipe=RECIPE,
        content_sha256=content,
        occurred_us=time_us_at(form, ("timestamp",)),
        kind=_KINDS.get(event_type, Kind.OTHER),
    )
