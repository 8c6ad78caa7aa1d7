"""Who is alive, as they tell: the ingress over HTTP, workers and cron through their heartbeats in Redis."""

from __future__ import annotations

import http.client
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import cast
from urllib.error import URLError
from urllib.request import urlopen

import redis
from django.conf import settings
from rq.utils import utcparse
from rq.worker import Worker

from autocom.build import build
from autocom.doctor.judgements.processes import IngressFacts, ProcessFacts
from autocom.doctor.readers.schedulers import last_heartbeats
from autocom.kernel.clock import SYSTEM_CLOCK
from ingestion.buffer import keys
from ingestion.buffer.store import BufferUnavailable, LanePeek, lane_buffer
from ingestion.selectors import UNATTENDED_AFTER_MS, WORKER_SILENT_AT_MOST

ANSWER_WITHIN_SECONDS = 3.0
BODY_LIMIT_BYTES = 4_096
FRESH = timedelta(seconds=4)  # cron speaks every two seconds (`worker.SWEEP_EVERY_SECONDS`)
FORGOTTEN = timedelta(minutes=10)  # far beyond any skew: it was killed, and nobody struck it off
WATCHED = timedelta(seconds=5)
POLL_SECONDS = 0.25
LOOKS_COUNT, LOOK_SECONDS = 4, 0.5


@dataclass(frozen=True, slots=True)
class ProcessReader:
    """`ingress_url` is where the ingress should answer: `http://host:port`."""

    ingress_url: str

    def __call__(self) -> ProcessFacts:
        environment, trouble = settings.AUTOCOM, ""
        drainers: Sequence[str] | None = None
        ops: Sequence[str] | None = None
        unattended: Sequence[int] | None = None
        crons: Sequence[str] | None = None
        busy_count = 0
        try:
            client = lane_buffer().client
            drainers, ops = alive_workers(client, queue=keys.DRAIN_QUEUE), alive_workers(client, queue=keys.OPS_QUEUE)
            busy_count = sum(bool(peek.depth_count) for peek in _peeks())
            unattended = unattended_lanes()
            crons = alive_crons(client)
        except (redis.RedisError, BufferUnavailable) as error:
            trouble = f"Redis could not be asked: {type(error).__name__}"
        return ProcessFacts(
            ingress=ingress_facts(self.ingress_url),
            trouble=trouble,
            alive_drain_workers=drainers,
            alive_ops_workers=ops,
            workers_min=environment.workers_min,
            workers_max=environment.workers_max,
            unattended_lanes=unattended,
            busy_lane_count=busy_count,
            alive_crons=crons,
        )


def ingress_facts(url: str) -> IngressFacts:
    answers, detail, theirs = False, "", ""
    try:
        with urlopen(f"{url}/healthz", timeout=ANSWER_WITHIN_SECONDS) as answer:  # noqa: S310  (an operator's own URL)
            answers, theirs = True, _build_in(answer.read(BODY_LIMIT_BYTES))
    except (URLError, http.client.HTTPException, OSError) as error:
        detail = str(getattr(error, "reason", error) or type(error).__name__)
    return IngressFacts(url=url, answers=answers, detail=detail, build=theirs, own_build=build())


def _build_in(body: bytes) -> str:
    try:
        found = json.loads(body)
    except ValueError:
        return ""
    return str(found.get("build") or "") if isinstance(found, dict) else ""


def alive_workers(client: redis.Redis, *, queue: str) -> list[str]:
    """Names of those that spoke lately. RQ's own reader strikes dead ones off its list; this one only looks."""
    listed = sorted(cast("set[bytes]", client.smembers(Worker.redis_workers_keys)))
    with client.pipeline(transaction=False) as pipe:
        for key in listed:
            pipe.hmget(key, "queues", "last_heartbeat")
        told = pipe.execute()
    spoke_after = datetime.now(UTC) - WORKER_SILENT_AT_MOST
    return [
        key.decode().removeprefix(Worker.redis_worker_namespace_prefix)
        for key, (queues, heartbeat) in zip(listed, told, strict=True)
        if queue.encode() in (queues or b"").split(b",") and heartbeat and utcparse(heartbeat.decode()) > spoke_after
    ]


def unattended_lanes() -> list[int]:
    """Lanes whose oldest entry is old, and that nobody held or moved while we looked several times.

    Once would not do: between two turns of its drains a busy lane is nobody's for a moment.
    """
    left = {peek.lane: peek.oldest_accepted_us for peek in _peeks() if _looks_left(peek)}
    for _ in range(LOOKS_COUNT):
        if not left:
            break
        time.sleep(LOOK_SECONDS)
        now = {peek.lane: peek.oldest_accepted_us for peek in _peeks() if _looks_left(peek)}
        left = {lane: oldest for lane, oldest in left.items() if now.get(lane) == oldest}
    return sorted(left)


def _looks_left(peek: LanePeek) -> bool:
    """A lane that rests after trouble is not left, as it has its next attempt before it; nor is a paused one."""
    now_us = SYSTEM_CLOCK.now_us()
    is_old = peek.oldest_accepted_us is not None and now_us - peek.oldest_accepted_us > UNATTENDED_AFTER_MS * 1_000
    is_resting = peek.retry_at_us is not None and peek.retry_at_us > now_us
    return is_old and not peek.holder and not is_resting and peek.paused_us is None


def _peeks() -> list[LanePeek]:
    return [lane_buffer().peek(lane) for lane in range(settings.AUTOCOM.lanes)]


def alive_crons(client: redis.Redis) -> list[str]:
    """The only one registered, if it spoke just now; else those whose heartbeat moves while we watch.

    A killed scheduler stays registered, and another machine's clock may be off: neither name nor time proves life.
    """
    first = last_heartbeats(client)
    now = time.time()
    ages = [abs(now - at) for at in first.values() if abs(now - at) < FORGOTTEN.total_seconds()]
    if len(ages) == 1 and ages[0] < FRESH.total_seconds():
        return [name for name, at in first.items() if abs(now - at) == ages[0]]
    until = time.monotonic() + WATCHED.total_seconds()
    moved: set[str] = set()
    while time.monotonic() < until:
        time.sleep(POLL_SECONDS)
        moved |= {name for name, at in last_heartbeats(client).items() if at != first.get(name)}
    return sorted(moved)
