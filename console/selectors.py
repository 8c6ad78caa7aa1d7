"""Reads that only the console needs."""

from ingestion.models import DeadLetter, Event

COUNTED_AT_MOST = 10_000


def open_dead_letter_count() -> int:
    """Open dead letters, counted up to COUNTED_AT_MOST + 1: the exact number beyond helps nobody."""
    return DeadLetter.objects.filter(state=DeadLetter.State.OPEN).order_by()[: COUNTED_AT_MOST + 1].count()


def has_events() -> bool:
    """Whether any event was ever committed."""
    return Event.objects.order_by().exists()
