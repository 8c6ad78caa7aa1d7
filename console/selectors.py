"""Reads that only the console needs."""

from datetime import datetime, timedelta
from uuid import UUID

from django.db.models import Q

from autocom.kernel.clock import us_of
from ingestion.models import DeadLetter, Event, QuarantinedEvent, SuppressedDuplicate

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


def letters_where(
    *,
    state: str | None = None,
    provider: str | None = None,
    fingerprint: str | None = None,
    since: datetime | None = None,
) -> Q:
    """The condition on letters for all that is given. `since`: received then or later. Only dead letters have
    fingerprints."""
    given = {"state": state, "provider": provider, "fingerprint": fingerprint}
    condition = Q(**{name: value for name, value in given.items() if value is not None})
    return condition if since is None else condition & Q(pk__gte=earliest_id(since))


def earliest_id(moment: datetime) -> UUID:
    """Below every id that was made at this moment or later."""
    return UUID(int=us_of(moment) // 1_000 << 80)
