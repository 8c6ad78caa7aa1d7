"""A lane that rests after trouble, as people see it: what failed how often, since when, and when it tries again."""

from dataclasses import dataclass
from datetime import datetime

from django.utils.safestring import SafeString

from console.shown import UNKNOWN, moment, visible
from ingestion.selectors import LaneState


@dataclass(frozen=True, slots=True)
class LaneRest:
    attempts: str
    since: SafeString | str
    next_attempt: SafeString | str
    error: str


def rest_of(lane: LaneState, *, now: datetime) -> LaneRest | None:
    """None for a lane whose last attempt was no failure."""
    if not lane.attempt_count:
        return None
    return LaneRest(
        attempts=f"{lane.attempt_count:,} attempt{'s' if lane.attempt_count > 1 else ''}",
        since=moment(lane.resting_since, now=now) if lane.resting_since else UNKNOWN,
        next_attempt=_next_attempt(lane, now=now),
        error=visible(lane.last_error) or UNKNOWN,
    )


def _next_attempt(lane: LaneState, *, now: datetime) -> SafeString | str:
    if lane.holder:
        return f"under way, by {lane.holder}"
    if lane.next_attempt_at is None:
        return UNKNOWN
    return moment(lane.next_attempt_at, now=now) if lane.next_attempt_at > now else "due: the sweeper is about to ring"
