"""Lanes that a person paused: they take events until their bound, and nothing of them is committed.

The lane's row in PostgreSQL says so, and the commit reads it under the lock that it takes anyway. So a pause holds from
the moment it is written, through every restart and even when Redis loses its data; and while PostgreSQL cannot be
asked, nothing can be committed either. Redis has a note of it for those who look at lanes (sweeper, autoscaler,
metrics), which is made again every two seconds.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from autocom.kernel.clock import us_of
from ingestion.buffer.store import LaneBuffer
from ingestion.models import Lane


@dataclass(frozen=True, slots=True, kw_only=True)
class Pause:
    lane: int
    since: datetime
    by: str
    reason: str


def paused_lanes() -> Mapping[int, Pause]:
    """Raises django.db.Error."""
    return {
        row.number: Pause(lane=row.number, since=row.paused_at, by=row.paused_by, reason=row.pause_reason)
        for row in Lane.objects.exclude(paused_at=None)
        if row.paused_at is not None
    }


def locked_lane(number: int) -> Lane:
    """The lane's row; waits for the batch in hand, so that nothing is committed after what is written to it now."""
    return Lane.objects.select_for_update().get_or_create(number=number)[0]


def write_pause(row: Lane, *, by: str, reason: str, now: datetime) -> None:
    row.paused_at, row.paused_by, row.pause_reason = now, by, reason
    row.save(update_fields=["paused_at", "paused_by", "pause_reason"])


def write_end(row: Lane) -> None:
    row.paused_at, row.paused_by, row.pause_reason = None, "", ""
    row.save(update_fields=["paused_at", "paused_by", "pause_reason"])


def note_pauses(buffer: LaneBuffer, *, lane_count: int) -> None:
    """Redis's notes are as the rows say. Raises django.db.Error and BufferUnavailable."""
    paused = paused_lanes()
    for lane in range(lane_count):
        pause = paused.get(lane)
        buffer.note_pause(lane, since_us=None if pause is None else us_of(pause.since))
