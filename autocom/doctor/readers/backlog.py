"""What waits on the lanes and for a person."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from django.conf import settings

from autocom.doctor.judgements.backlog import LaneFacts, PersonFacts
from autocom.doctor.readers.session import read_only
from autocom.kernel.clock import SYSTEM_CLOCK
from ingestion.accept import append_limits
from ingestion.buffer.store import lane_buffer
from ingestion.waiting import COUNTED_AT_MOST, waiting_for_a_person

DAYS = 7


def read_lanes() -> LaneFacts:
    """Raises BufferUnavailable."""
    peeks = [lane_buffer().peek(lane) for lane in range(settings.AUTOCOM.lanes)]
    oldest_us = [peek.oldest_accepted_us for peek in peeks if peek.oldest_accepted_us is not None]
    limits = append_limits()
    return LaneFacts(
        oldest_age_seconds=(SYSTEM_CLOCK.now_us() - min(oldest_us)) / 1_000_000 if oldest_us else None,
        fullest_share=max(
            max(peek.depth_count / limits.lane_bound_count, peek.size_bytes / limits.lane_bound_bytes) for peek in peeks
        ),
    )


def read_persons() -> PersonFacts:
    """Raises django.db.Error."""
    with read_only():
        found = waiting_for_a_person(now=datetime.now(UTC), last=timedelta(days=DAYS))
    return PersonFacts(
        open_dead_letter_count=found.open_dead_letter_count,
        quarantined_count=found.quarantined_count,
        incident_count=found.incident_count,
        counted_at_most=COUNTED_AT_MOST,
        days=DAYS,
    )
