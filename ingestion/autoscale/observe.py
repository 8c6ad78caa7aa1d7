"""The lanes as they look from outside, by Redis's clock."""

from __future__ import annotations

from ingestion.autoscale.figures import LaneSeen, Seen
from ingestion.buffer.store import LaneBuffer, LanePeek


def observe(buffer: LaneBuffer, *, lane_count: int, workers_count: int, at_s: float) -> Seen:
    """Raises BufferUnavailable."""
    peeks = [buffer.peek(lane) for lane in range(lane_count)]
    now_us = buffer.now_us()
    return Seen(at_s=at_s, lanes=[_lane_seen(peek, now_us=now_us) for peek in peeks], workers_count=workers_count)


def _lane_seen(peek: LanePeek, *, now_us: int) -> LaneSeen:
    accepted_us = peek.oldest_accepted_us or now_us  # 0 is an entry of foreign make: its age is not known
    return LaneSeen(
        depth_count=peek.depth_count,
        age_ms=max(now_us - accepted_us, 0) / 1_000,
        appended_count=peek.sequence,
        is_held=bool(peek.holder),
        is_resting=peek.attempt > 0 or peek.paused_us is not None,  # no worker helps either
    )
