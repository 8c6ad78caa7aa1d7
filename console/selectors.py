"""Reads that only the console needs."""

from datetime import datetime, timedelta
from uuid import UUID

from django.db.models import QuerySet

from autocom.kernel.clock import us_of
from ingestion.models import DeadLetter, Event, QuarantinedEvent, SetAsideState, SuppressedDuplicate
from ingestion.redrive.place import SetAside

COUNTED_AT_MOST = 10_000


def open_dead_letter_count() -> int:
    """Open dead letters, counted up to COUNTED_AT_MOST + 1: the exact number beyond helps nobody."""
    return DeadLetter.objects.filter(state=DeadLetter.State.OPEN).order_by()[: COUNTED_AT_MOST + 1].count()


def has_events() -> bool:
    """Whether any event was ever committed."""
    return Event.objects.order_by().exists()


def duplicate_count(*, now: datetime, last: timedelta) -> int:
    """Suppressed duplicates received lately, counted up to COUNTED_AT_MOST + 1. Their ids carry the time."""
    rows = SuppressedDuplicate.objects.filter(pk__gt=earliest_id(now - last))
    return rows.order_by()[: COUNTED_AT_MOST + 1].count()


def quarantined_count(*, now: datetime, last: timedelta) -> int:
    """Quarantined events received lately, counted up to COUNTED_AT_MOST + 1."""
    rows = QuarantinedEvent.objects.filter(pk__gt=earliest_id(now - last))
    return rows.order_by()[: COUNTED_AT_MOST + 1].count()


def letters_set_aside(
    place: SetAside,
    *,
    state: SetAsideState | None = None,
    provider: str | None = None,
    fingerprint: str | None = None,
    since: datetime | None = None,
) -> QuerySet[DeadLetter] | QuerySet[QuarantinedEvent]:
    """Those that meet every condition given, in no order. `since`: received then or later. Fingerprints are of dead
    letters alone."""
    rows = place.model._default_manager.order_by()
    if state is not None:
        rows = rows.filter(state=state)
    if provider is not None:
        rows = rows.filter(provider=provider)
    if fingerprint is not None:
        rows = rows.filter(fingerprint=fingerprint)
    return rows if since is None else rows.filter(pk__gte=earliest_id(since))


def earliest_id(moment: datetime) -> UUID:
    """Below every id that was made at this moment or later."""
    return UUID(int=us_of(moment) // 1_000 << 80)
