"""The clocks of Redis and PostgreSQL beside this machine's."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any

import redis
from django.db import Error, connection

from autocom.doctor.judgements.clocks import ClockFacts, Reading
from autocom.doctor.readers.schedulers import scheduler_key, scheduler_names
from autocom.kernel.clock import SYSTEM_CLOCK, Clock
from ingestion.buffer.store import lane_buffer

SAMPLE_COUNT = 7


def read() -> ClockFacts:
    client = lane_buffer().client
    troubles: list[str] = []
    of_redis = _asked(lambda: reading(lambda: _redis_us(client), clock=SYSTEM_CLOCK), "Redis", troubles)
    of_postgres = _asked(lambda: reading(_postgres_us, clock=SYSTEM_CLOCK), "PostgreSQL", troubles)
    expressions = _asked(lambda: _expression_count(client), "Redis", troubles)
    return ClockFacts(
        redis=of_redis,
        postgres=of_postgres,
        trouble="; ".join(dict.fromkeys(troubles)),
        cron_expression_count=expressions,
        zone_is_utc=time.timezone == 0 and not time.daylight,
    )


def reading(ask_us: Callable[[], int], *, clock: Clock) -> Reading:
    """The sample with the shortest round trip of several: the others waited somewhere."""
    ask_us()  # connects
    return min((_sample(ask_us, clock) for _ in range(SAMPLE_COUNT)), key=lambda each: each.round_trip_seconds)


def _sample(ask_us: Callable[[], int], clock: Clock) -> Reading:
    began_ns, before_us = clock.monotonic_ns(), clock.now_us()
    told_us = ask_us()
    after_us, took_ns = clock.now_us(), clock.monotonic_ns() - began_ns
    return Reading(
        offset_seconds=(told_us - (before_us + after_us) / 2) / 1_000_000, round_trip_seconds=took_ns / 1_000_000_000
    )


def _redis_us(client: redis.Redis) -> int:
    seconds, microseconds = client.time()
    return int(seconds) * 1_000_000 + int(microseconds)


def _postgres_us() -> int:
    with connection.cursor() as cursor:
        cursor.execute("SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint")
        return int(cursor.fetchone()[0])


def _expression_count(client: redis.Redis) -> int:
    jobs: list[dict[str, Any]] = []
    for name in scheduler_names(client):
        jobs += json.loads(client.hget(scheduler_key(name), "cron_jobs") or b"[]")
    return sum(bool(job.get("cron")) for job in jobs)


def _asked[T](ask: Callable[[], T], whom: str, troubles: list[str]) -> T | None:
    try:
        return ask()
    except (redis.RedisError, Error) as error:
        troubles.append(f"{whom} could not be asked: {type(error).__name__}")
        return None
