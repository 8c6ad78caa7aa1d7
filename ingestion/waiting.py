"""How much waits for a person: dead letters, quarantine, incidents. Counted up to a bound, so that it costs little."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from ingestion.models import DeadLetter, LaneIncident, QuarantinedEvent, SetAsideState
from ingestion.retention.policy import earliest_id

COUNTED_AT_MOST = 10_000  # a number above it means: more


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    open_dead_letter_count: int
    quarantined_count: int
    incident_count: int


def waiting_for_a_person(*, now: datetime, last: timedelta) -> Waiting:
    """Open dead letters; open quarantined events and incidents of late. Raises django.db.Error."""
    bound = slice(COUNTED_AT_MOST + 1)
    return Waiting(
        open_dead_letter_count=DeadLetter.objects.filter(state=SetAsideState.OPEN).order_by()[bound].count(),
        quarantined_count=QuarantinedEvent.objects.filter(pk__gte=earliest_id(now - last), state=SetAsideState.OPEN)
        .order_by()[bound]
        .count(),
        incident_count=LaneIncident.objects.filter(seen_at__gt=now - last).order_by()[bound].count(),
    )
