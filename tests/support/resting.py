"""A lane that rests after trouble, as a drain leaves it."""

from __future__ import annotations

from datetime import timedelta

from autocom.kernel.clock import SYSTEM_CLOCK
from ingestion.buffer.store import LaneBuffer

ERROR = (
    'OperationalError: connection to server at "postgresql://app:hunter2secret@10.0.0.5" failed: Connection refused\n'
    "DETAIL: a row that nobody need see"
)


def rest(buffer: LaneBuffer, *, lane: int = 0, attempts: int = 1, seconds: float = 60, error: str = ERROR) -> None:
    """The lane has failed so often, and tries again after so many seconds."""
    span = timedelta(seconds=seconds)
    for number in range(attempts):
        claim = buffer.claim(lane, token=b"%d@worker-1" % number, fence_floor=0)
        assert claim is not None
        next_us = SYSTEM_CLOCK.now_us() + span // timedelta(microseconds=1)
        assert buffer.back_off(claim, rest=span, next_attempt_us=next_us, error=error) == number + 1
