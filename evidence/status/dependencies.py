"""What the service stands on, each asked now: PostgreSQL, Redis, lanes, workers, sealer, promises, disk."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from django.conf import settings
from django.db import connection

from evidence.log.names import LogName
from evidence.log_standing import log_standing
from evidence.status.asked import ask
from evidence.store.room import stored_bytes
from ingestion.buffer.keys import DRAIN_QUEUE
from ingestion.buffer.store import lane_buffer
from ingestion.promises import standing_of
from ingestion.selectors import STUCK_STATES, drain_workers_alive_count, lane_states

SEALED_WITHIN = timedelta(seconds=60)
FREE_BYTES, FREE_SHARE = 10 << 30, 0.1  # less than both is short


class Health(StrEnum):
    OK = "OK"
    BAD = "BAD"
    UNKNOWN = "UNKNOWN"


@dataclass(frozen=True, slots=True, kw_only=True)
class Dependency:
    name: str
    health: Health
    said: str


Finding = tuple[Health, str]


def dependencies(*, now: datetime) -> list[Dependency]:
    """Each with its health; one that cannot be asked is UNKNOWN, with the reason. Never raises for it."""
    sources: dict[str, Callable[[], Finding]] = {
        "PostgreSQL": _postgresql,
        "Redis": _redis,
        "lanes": _lanes,
        "drain workers": _workers,
        "sealer of events": lambda: _sealer(LogName.EVENTS, now=now),
        "sealer of the audit log": lambda: _sealer(LogName.AUDIT, now=now),
        "promise checker": _promises,
        "evidence disk": _disk,
        "evidence quota": _quota,
    }
    return [_dependency(name, source) for name, source in sources.items()]


def _dependency(name: str, source: Callable[[], Finding]) -> Dependency:
    asked = ask(source)
    health, said = asked.value or (Health.UNKNOWN, asked.why)
    return Dependency(name=name, health=health, said=said)


def _judged(is_fine: bool, said: str) -> Finding:
    return (Health.OK if is_fine else Health.BAD), said


def _postgresql() -> Finding:
    with connection.cursor() as cursor:
        cursor.execute("SHOW server_version")
        (version,) = cursor.fetchone()
    return Health.OK, f"version {str(version).partition(' ')[0]} answers"


def _redis() -> Finding:
    waiting = lane_buffer().waiting_jobs_count(DRAIN_QUEUE)
    return Health.OK, f"answers; {waiting:,} drain jobs wait"


def _lanes() -> Finding:
    states = lane_states()
    stuck = [f"{each.lane} {each.state.replace('_', ' ')}" for each in states if each.state in STUCK_STATES]
    depth = sum(each.depth_count for each in states)
    told = f"{len(states)} lanes hold {depth:,} events"
    return _judged(not stuck, f"{told}; lane {', '.join(stuck)}" if stuck else told)


def _workers() -> Finding:
    count = drain_workers_alive_count()
    return _judged(count > 0, f"{count} alive" if count else "none is alive: start one with manage.py worker")


def _sealer(log: LogName, *, now: datetime) -> Finding:
    found = log_standing(log)
    if found.refused_why:
        return Health.BAD, f"stands still: {found.refused_why}"
    if found.published_count is None:
        return Health.UNKNOWN, "its checkpoint cannot be read here"
    waits = now - found.oldest_waiting_at if found.oldest_waiting_at else timedelta()
    told = f"{found.integrated_count:,} leaves sealed, {found.waiting_count:,} wait"
    late = f"{told}, the oldest for {waits.total_seconds():,.0f} s"
    return _judged(waits <= SEALED_WITHIN, late if found.waiting_count else told)


def _promises() -> Finding:
    buffer = lane_buffer()
    found = standing_of(buffer)
    if found is None or not found.is_known(now_us=buffer.now_us()):
        return Health.UNKNOWN, "nobody has checked lately: manage.py cron and worker run the checker"
    return _judged(not found.lost_lanes, f"{found.checked_count:,} checked, {found.behind_count:,} to go")


def _disk() -> Finding:
    root = settings.AUTOCOM.evidence_root
    there = next(each for each in (root, *root.parents) if each.exists())
    usage = shutil.disk_usage(there)
    is_short = usage.free < min(FREE_BYTES, FREE_SHARE * usage.total)
    return _judged(not is_short, f"{usage.free / 2**30:,.1f} GiB of {usage.total / 2**30:,.1f} GiB free")


def _quota() -> Finding:
    stored, quota = stored_bytes(), settings.AUTOCOM.evidence_quota_bytes
    told = f"{stored / 2**20:,.1f} MiB stored"
    return (
        (Health.OK, f"{told}, no quota set")
        if not quota
        else _judged(stored < quota, f"{told} of {quota / 2**20:,.1f} MiB")
    )
