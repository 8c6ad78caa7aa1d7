"""Events that aged out, asked by their identity: the second line behind Redis's window, beside the table of events.

The question must come after the insert of a batch's events, in the same transaction: an insert whose identity an ageing
transaction is just removing waits for it and then succeeds, and only a later statement sees what that one left.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from uuid import UUID

from django.db import connection

from autocom.kernel.ids import last_event_id_of
from ingestion.models import AgedEvent, Event

type Original = tuple[UUID, bytes]  # event id and content digest of the event that came first

_is_in_use = False  # for good once seen: the table starts empty and is never emptied of all


def aged_originals(identities: Sequence[bytes]) -> Mapping[bytes, Original]:
    """Those of the identities that belong to events that aged out. Raises django.db.Error."""
    if not identities or not _may_know():
        return {}
    with connection.cursor() as cursor:
        # one array: an IN list of 500 placeholders costs more to write than to answer
        cursor.execute(_KNOWN, [list(identities)])
        return {bytes(identity): (event_id, bytes(content)) for identity, event_id, content in cursor.fetchall()}


def _may_know() -> bool:
    global _is_in_use
    _is_in_use = _is_in_use or AgedEvent.objects.order_by().exists()
    return _is_in_use


def aged_event(text: str) -> AgedEvent | None:
    """The event with this id that aged out, if it did. Any text may be asked for."""
    try:
        return AgedEvent.objects.filter(pk=UUID(text)).first()
    except ValueError:
        return None


def body_aged_at(request_id: UUID) -> datetime | None:
    """When the body and headers of this delivery aged out; None where they did not, or nothing is known of it."""
    here = {"pk__gte": request_id, "pk__lte": last_event_id_of(request_id)}
    for model in (Event, AgedEvent):
        rows = model._default_manager.filter(**here, batch__bodies_aged_at__isnull=False)
        if found := rows.values_list("batch__bodies_aged_at", flat=True).first():
            return found
    return None


_KNOWN = "SELECT identity, event_id, content_sha256 FROM ingestion_agedevent WHERE identity = ANY(%s)"
