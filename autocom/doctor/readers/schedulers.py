"""RQ's cron schedulers as they register in Redis. RQ's own reader prunes the register; this one only looks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

import redis
from rq.cron_scheduler_registry import get_registry_key
from rq.defaults import RQ_KEY_PREFIX


def scheduler_key(name: str) -> str:
    return f"{RQ_KEY_PREFIX}:cron_scheduler:{name}"


def scheduler_names(client: redis.Redis) -> list[str]:
    return list(last_heartbeats(client))


def last_heartbeats(client: redis.Redis) -> Mapping[str, float]:
    """Name to the time of the last sign of life, in seconds since 1970 by the scheduler's own clock."""
    found = cast("list[tuple[bytes, float]]", client.zrange(get_registry_key(), 0, -1, withscores=True))
    return {name.decode(): score for name, score in found}
