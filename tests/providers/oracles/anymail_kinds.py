"""django-anymail's names for what happened to a message, in ours."""

from anymail.signals import EventType

from ingestion.providers.adapter import Kind

KIND_OF = {
    EventType.QUEUED: Kind.SENT,
    EventType.SENT: Kind.SENT,
    EventType.DELIVERED: Kind.DELIVERED,
    EventType.BOUNCED: Kind.BOUNCED,
    EventType.REJECTED: Kind.REJECTED,
    EventType.FAILED: Kind.REJECTED,
    EventType.DEFERRED: Kind.DEFERRED,
    EventType.COMPLAINED: Kind.COMPLAINED,
    EventType.OPENED: Kind.OPENED,
    EventType.CLICKED: Kind.CLICKED,
    EventType.UNSUBSCRIBED: Kind.UNSUBSCRIBED,
    EventType.SUBSCRIBED: Kind.OTHER,
    EventType.AUTORESPONDED: Kind.OTHER,
    EventType.INBOUND_FAILED: Kind.OTHER,
    EventType.UNKNOWN: Kind.OTHER,
}
