"""What Twilio's callbacks tell: the subject, its state, and what makes two callbacks the same."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Final

from ingestion.providers.adapter import IdentifiedEvent, Kind
from ingestion.providers.event_keys import content_digest
from ingestion.providers.event_kind import kind_by_last_word
from ingestion.providers.json_body import compact, text_at, time_us_at

RECIPE = "twilio/1"
_CLOUD_SUBJECTS: Final = ("messageSid", "callSid", "sid")


def cloud_event(element: object) -> IdentifiedEvent:
    """An event of Event Streams, known by its source and id as CloudEvents has it."""
    event_id = text_at(element, ("id",)) or content_digest(element).hex()
    event_type = text_at(element, ("type",)) or "unknown"
    subject = next((found for path in _CLOUD_SUBJECTS if (found := text_at(element, ("data", path)))), event_id)
    return IdentifiedEvent(
        message_id=event_id,
        event_type=event_type,
        ordering_key=subject,
        payload=compact(element),
        identity_fields=("cloud-event", text_at(element, ("source",)), event_id),
        recipe=RECIPE,
        content_sha256=content_digest(element),
        occurred_us=time_us_at(element, ("data", "timestamp")) or time_us_at(element, ("time",)),
        kind=kind_by_last_word(event_type),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Subject:
    """How one kind of callback names its subject, its state, and what tells two callbacks of one state apart."""

    prefix: str
    sid: str
    states: tuple[str, ...]
    details: tuple[str, ...] = ()


# A recording's or a conference's callback names its call too, so the call comes last. Field names are those of "Track
# outbound message status", "Call resource: StatusCallback", "RecordingStatusCallback", "Conference: statusCallback" and
# "Real-Time Transcriptions"; SequenceNumber and Timestamp of calls were confirmed in recorded callbacks.
_SUBJECTS: Final = (
    _Subject(prefix="message", sid="MessageSid", states=("MessageStatus", "SmsStatus")),
    _Subject(prefix="message", sid="SmsSid", states=("SmsStatus", "MessageStatus")),
    _Subject(prefix="recording", sid="RecordingSid", states=("RecordingStatus",)),
    _Subject(
        prefix="transcription",
        sid="TranscriptionSid",
        states=("TranscriptionEvent", "TranscriptionStatus"),
        details=("SequenceId",),
    ),
    _Subject(
        prefix="conference", sid="ConferenceSid", states=("StatusCallbackEvent",), details=("SequenceNumber", "CallSid")
    ),
    _Subject(prefix="call", sid="CallSid", states=("CallStatus",), details=("SequenceNumber",)),
)
_PARTIES: Final = ("To", "From", "Called", "Caller")
PERSONAL: Final = (
    *_PARTIES,
    *(f"{party}{place}" for party in _PARTIES for place in ("City", "State", "Zip", "Country")),
    *("CallerName", "ForwardedFrom", "ChannelToAddress", "Body", "WaId", "ProfileName"),
    *("RecordingUrl", "TranscriptionData", "TranscriptionText"),
    *("data.to", "data.from", "data.body", "data.request.parameters"),  # of Event Streams
)
_KINDS: Final = {
    "message.sent": Kind.SENT,
    "message.delivered": Kind.DELIVERED,
    "message.read": Kind.OPENED,
    "message.undelivered": Kind.BOUNCED,
    "message.failed": Kind.REJECTED,
    "message.received": Kind.MESSAGE,
}


def callback_event(fields: Mapping[str, str], *, payload: bytes, content: object) -> IdentifiedEvent:
    """One callback. What fits no subject is known by its content: a second different one is another event."""
    digest = content_digest(content)
    for subject in _SUBJECTS:
        sid = fields.get(subject.sid)
        state = next((fields[name] for name in subject.states if fields.get(name)), "")
        if sid and state:
            event_type = f"{subject.prefix}.{state}"
            identity = (subject.prefix, sid, state, *(fields.get(name, "") for name in subject.details))
            message_id = ":".join(filter(None, (sid, *identity[3:])))
            break
    else:
        sid = fields.get("MessageSid") or fields.get("CallSid") or digest.hex()
        event_type, identity, message_id = "unknown", ("content", digest.hex()), f"{sid}#{digest.hex()[:16]}"
    return IdentifiedEvent(
        message_id=message_id,
        event_type=event_type,
        ordering_key=sid,
        payload=payload,
        identity_fields=identity,
        recipe=RECIPE,
        content_sha256=digest,
        occurred_us=_rfc_2822_us(fields.get("Timestamp", "")),
        kind=_KINDS.get(event_type, Kind.OTHER),
    )


def _rfc_2822_us(text: str) -> int | None:
    """Call progress callbacks tell their time as RFC 2822 text with an offset; message callbacks tell none."""
    try:
        return int(parsedate_to_datetime(text).timestamp()) * 1_000_000 if text else None
    except (ValueError, TypeError, OverflowError, IndexError):
        return None
