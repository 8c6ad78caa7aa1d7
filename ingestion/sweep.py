"""The sweeper: whatever became of a drain job, a lane with entries and nobody at work gets another."""

import logging
import secrets

from ingestion.buffer.store import LaneBuffer

log = logging.getLogger(__name__)


def sweep_lanes(buffer: LaneBuffer, *, lane_count: int) -> int:
    """How many lanes were rung; those that are paused are left alone. Raises BufferUnavailable."""
    rung = [
        lane
        for lane in range(lane_count)
        if not buffer.is_noted_paused(lane)
        and buffer.ring_if_unattended(lane, job_id=f"sweep-{lane}-{secrets.token_hex(8)}".encode())
    ]
    if rung:
        log.info("lanes_rung", extra={"lanes": rung})
    return len(rung)
