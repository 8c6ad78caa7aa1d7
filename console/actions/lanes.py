"""Pause, resume and wake a lane."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from typing import ClassVar

from django.conf import settings
from django.db import transaction

from autocom.kernel.clock import SYSTEM_CLOCK, datetime_of, us_of
from autocom.kernel.errors import AutocomError
from console.access import Permission
from console.actions.operator import Operator, check
from evidence.audit import Act, record
from evidence.models import AuditEntry
from ingestion.buffer.store import BufferUnavailable, LaneBuffer, lane_buffer
from ingestion.pauses import locked_lane, write_end, write_pause

PERMISSION = Permission.LANE_OPERATE
REASON_LIMIT_CHARS = 500


class LaneRefused(AutocomError):
    """Nothing changed; the message says why."""

    code: ClassVar[str] = "lane_refused"


def pause_lane(operator: Operator, lane: int, *, reason: str) -> AuditEntry:
    """From the commit of this on, nothing of the lane is committed; it takes events until its bound.

    Waits for the batch in hand. Raises RefusalRecorded, LaneRefused and django.db.Error.
    """
    told = _checked(operator, lane, reason=reason, verb="pause")
    now = datetime_of(us=SYSTEM_CLOCK.now_us())
    with transaction.atomic(durable=True):
        row = locked_lane(lane)
        if row.paused_at is not None:
            raise LaneRefused(f"lane {lane} is paused already, by {row.paused_by}: {row.pause_reason}")
        write_pause(row, by=operator.actor.name, reason=told, now=now)
        entry = record(Act.LANE_PAUSED, actor=operator.actor, subject=f"lane {lane}", reason=told)
    _tell(lambda buffer: buffer.note_pause(lane, since_us=us_of(now)))
    return entry


def resume_lane(operator: Operator, lane: int, *, reason: str) -> AuditEntry:
    """The lane is drained again, at once where Redis can be asked. Raises as `pause_lane`."""
    told = _checked(operator, lane, reason=reason, verb="resume")
    now = datetime_of(us=SYSTEM_CLOCK.now_us())
    with transaction.atomic(durable=True):
        row = locked_lane(lane)
        if row.paused_at is None:
            raise LaneRefused(f"lane {lane} is not paused")
        facts = {"paused_by": row.paused_by, "paused_seconds": round((now - row.paused_at).total_seconds())}
        write_end(row)
        entry = record(Act.LANE_RESUMED, actor=operator.actor, subject=f"lane {lane}", reason=told, facts=facts)
    _tell(lambda buffer: buffer.note_pause(lane, since_us=None))
    _tell(lambda buffer: _ring(buffer, lane))
    return entry


def wake_lane(operator: Operator, lane: int, *, reason: str) -> AuditEntry:
    """A drain job is due for a lane that has entries and nobody at work; the entry says whether it was needed.

    Raises RefusalRecorded, LaneRefused, BufferUnavailable and django.db.Error.
    """
    told = _checked(operator, lane, reason=reason, verb="wake")
    if lane_buffer().is_noted_paused(lane):
        raise LaneRefused(f"lane {lane} is paused: resume it")
    is_rung = _ring(lane_buffer(), lane)
    with transaction.atomic(durable=True):
        facts = {"rung": is_rung}
        return record(Act.LANE_WOKEN, actor=operator.actor, subject=f"lane {lane}", reason=told, facts=facts)


def _checked(operator: Operator, lane: int, *, reason: str, verb: str) -> str:
    check(operator, PERMISSION, subject=f"{verb} lane {lane}")
    if not 0 <= lane < settings.AUTOCOM.lanes:
        raise LaneRefused(f"there is no lane {lane}: there are 0 to {settings.AUTOCOM.lanes - 1}")
    told = reason.strip()
    if not 1 <= len(told) <= REASON_LIMIT_CHARS:
        raise LaneRefused(f"say why in 1 to {REASON_LIMIT_CHARS} characters, such as “wrong amounts since 09:12”")
    return told


def _ring(buffer: LaneBuffer, lane: int) -> bool:
    return buffer.ring_now(lane, job_id=f"wake-{lane}-{secrets.token_hex(8)}".encode())


def _tell(what: Callable[[LaneBuffer], object]) -> None:
    """What PostgreSQL says holds without Redis's note; the sweeper makes it again and rings."""
    try:
        what(lane_buffer())
    except BufferUnavailable:
        return
