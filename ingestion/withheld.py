"""What the mode kept from leaving, counted in Redis for /metrics."""

from __future__ import annotations

import logging

import redis

from ingestion.buffer import keys
from ingestion.buffer.store import BufferUnavailable, lane_buffer

KIND = "withheld"

log = logging.getLogger(__name__)


def count_withheld(what: str) -> None:
    """Never raises: where Redis cannot be asked, the line in the log is all that is left."""
    try:
        lane_buffer().client.hincrby(keys.METRICS.decode(), f"{KIND}|{what}", 1)
    except (BufferUnavailable, redis.RedisError):
        log.warning("withheld_not_counted", extra={"what": what})
