"""What Amazon SES tells in one SNS message, an event for each recipient it names, and what makes two events the same.

SES sends one event twice where both notifications and event publishing are on, in two SNS messages with slightly
different fields. So neither SNS's id nor the bytes tell events apart, but what SES says of the event itself.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from autocom.kernel.ids import EVENTS_PER_DELIVERY_LIMIT
from ingestion.providers.adapter import IdentifiedEvent, Kind
from ingestion.providers.event_keys import content_digest, event_message_id, recipient_key
from ingestion.providers.json_body import compact, text_at, time_us_at, value_at

RECIPE = "ses/1"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Shape:
    """Where an event of a type stands in the message. `core`: what both formats say of it, if it comes in both."""

    key: str
    kind: Kind
    recipients: str = ""  # the list in the event that names those whom it concerns; empty: it names nobody
    core: tuple[str, ...] = ()  # empty: all of it


# Event types and their objects as in "Contents of event data that Amazon SES publishes to Amazon SNS" and "Amazon SNS
# notification contents for Amazon SES".
_SHAPES: Final = {
    "Send": _Shape(key="send", kind=Kind.SENT),
    "Delivery": _Shape(key="delivery", kind=Kind.DELIVERED, recipients="recipients", core=("smtpResponse",)),
    "Bounce": _Shape(
        key="bounce", kind=Kind.BOUNCED, recipients="bouncedRecipients", core=("bounceType", "bounceSubType")
    ),
    "Complaint": _Shape(
        key="complaint",
        kind=Kind.COMPLAINED,
        recipients="complainedRecipients",
        core=("complaintSubType", "complaintFeedbackType"),
    ),
    "DeliveryDelay": _Shape(key="deliveryDelay", kind=Kind.DEFERRED, recipients="delayedRecipients"),
    "Reject": _Shape(key="reject", kind=Kind.REJECTED),
    "Rendering Failure": _Shape(key="failure", kind=Kind.REJECTED),
    "Open": _Shape(key="open", kind=Kind.OPENED),
    "Click": _Shape(key="click", kind=Kind.CLICKED),
    "Subscription": _Shape(key="subscription", kind=Kind.UNSUBSCRIBED),
    "Received": _Shape(key="receipt", kind=Kind.MESSAGE),
}
PERSONAL: Final = (
    "mail.destination",
    "mail.source",
    "mail.headers",
    "mail.commonHeaders",
    "bounce.bouncedRecipients",
    "complaint.complainedRecipients",
    "complaint.userAgent",
    "delivery.recipients",
    "deliveryDelay.delayedRecipients",
    "open.ipAddress",
    "open.userAgent",
    "click.ipAddress",
    "click.userAgent",
    "receipt.recipients",
    "content",
    # of a message that is no event of SES
    *("Message", "Subject"),
)


def ses_type(message: object) -> str:
    """Empty for what is not an event of SES."""
    return text_at(message, ("eventType",)) or text_at(message, ("notificationType",))


def ses_events(message: Mapping[str, object]) -> Iterator[IdentifiedEvent]:
    """An event for each recipient that the event's own list names, in its order; one event where it names nobody.

    Raises RecursionError for a message nested too deep.
    """
    event_type = ses_type(message)
    shape = _SHAPES.get(event_type) or _Shape(key=event_type[:1].lower() + event_type[1:], kind=Kind.OTHER)
    detail = message.get(shape.key)
    named = value_at(detail, (shape.recipients,))
    if isinstance(detail, Mapping) and isinstance(named, list) and 1 <= len(named) <= EVENTS_PER_DELIVERY_LIMIT:
        for entry in named:
            address = entry if isinstance(entry, str) else text_at(entry, ("emailAddress",))
            narrowed = {**message, shape.key: {**detail, shape.recipients: [entry]}}
            yield _event(narrowed, event_type=event_type, shape=shape, recipient=address, entry=entry)
    else:
        yield _event(message, event_type=event_type, shape=shape, recipient=_destination(message), entry=None)


def _destination(message: Mapping[str, object]) -> str:
    """Opens, clicks and sends name nobody: all to whom the message went, in a stable order, stand for the recipient."""
    addresses = value_at(message, ("mail", "destination"))
    return ",".join(sorted(each for each in addresses if isinstance(each, str))) if isinstance(addresses, list) else ""


def _event(
    message: Mapping[str, object], *, event_type: str, shape: _Shape, recipient: str, entry: object
) -> IdentifiedEvent:
    detail = message.get(shape.key)
    mail_id = text_at(message, ("mail", "messageId"))
    moment = (shape.key, "timestamp") if text_at(detail, ("timestamp",)) else ("mail", "timestamp")
    said = [text_at(detail, (name,)) for name in shape.core] if shape.core and entry is not None else detail
    content = content_digest([event_type, entry, said])
    fields: tuple[str, ...] = (mail_id, event_type, recipient, text_at(message, moment), text_at(detail, ("link",)))
    if not mail_id:
        fields += (content_digest(message).hex(),)
    message_id = event_message_id(mail_id, fields=fields)
    return IdentifiedEvent(
        message_id=message_id,
        event_type=event_type,
        ordering_key=":".join(filter(None, (mail_id, recipient_key(recipient)))) or message_id,
        payload=compact(message),
        identity_fields=fields,
        recipe=RECIPE,
        content_sha256=content,
        occurred_us=time_us_at(message, moment),
        kind=shape.kind,
    )
