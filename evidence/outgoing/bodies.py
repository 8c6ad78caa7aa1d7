"""What is sent of an event: the same at each attempt, and never kept beside the event itself."""

from __future__ import annotations

import json
from uuid import UUID

from evidence.outgoing.errors import EventGone
from ingestion.models import Event


def event_body(event_id: UUID) -> bytes:
    """Raises EventGone."""
    event = Event.objects.filter(pk=event_id).first()
    if event is None or event.payload is None:
        raise EventGone(f"event {event_id} aged out before it was sent: discard the message")
    data = {
        "event_id": str(event.pk),
        "provider": event.provider,
        "message_id": event.message_id,
        "event_type": event.event_type,
        "ordering_key": event.ordering_key,
        "payload": event.payload,
    }
    told = {"type": f"event.{event.event_type}", "timestamp": event.accepted_at.isoformat(), "data": data}
    return json.dumps(told, ensure_ascii=False, sort_keys=True).encode()
