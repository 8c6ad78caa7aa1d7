"""What RQ runs. Each job takes a lane or nothing, calls one function, and may be lost or repeated."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.db import Error, close_old_connections
from redis import RedisError
from rq import get_current_job

from autocom.kernel.clock import SYSTEM_CLOCK
from autocom.kernel.request_context import PERSONAL_TEXTS, REQUEST_ID
from ingestion.buffer.store import BufferUnavailable, lane_buffer
from ingestion.drain import Drainer
from ingestion.latency import RECORDER
from ingestion.latency_merges import make_merges
from ingestion.latency_store import add_aged
from ingestion.pacing import Outcome, Pace
from ingestion.pauses import note_pauses
from ingestion.redrive.send import send_stranded
from ingestion.retention.bounds import bounds_now
from ingestion.retention.policy import RetentionPolicy
from ingestion.retention.run import age_out
from ingestion.roll_up import roll_up_hours, roll_up_minutes
from ingestion.sweep import sweep_lanes

ROLL_UP_PACE = Pace(pause=timedelta(0))  # nobody waits for these rows

log = logging.getLogger(__name__)


def drain(lane: int) -> dict[str, Any]:
    PERSONAL_TEXTS.set(None)
    REQUEST_ID.set(None)  # the last batch of the job before is none of this one's
    # django-rq resets connections once, before the loop; one killed backend would fail every later job
    close_old_connections()
    job = get_current_job()
    drainer = Drainer(buffer=lane_buffer(), recorder=RECORDER, clock=SYSTEM_CLOCK, worker=RECORDER.process)
    try:
        report = drainer.drain(lane, job_id=job.id if job else "")
    except BufferUnavailable as error:
        # the lease runs out by itself and the sweeper rings again; a failed job would help nobody
        log.warning("drain_broken_off", extra={"lane": lane, "error": str(error)})
        return {"lane": lane, "outcome": "buffer_unavailable"}
    PERSONAL_TEXTS.set(None)  # what a job that raised had at hand is kept for its report; of this one nothing is
    return {"lane": lane, "outcome": report.outcome, "events": report.settled.stored_count}


def sweep() -> int:
    """Rings for every lane that has entries and nobody at work; sends again the retries that got lost on the way.

    Notes in Redis which lanes are paused, as that is said in PostgreSQL alone.
    """
    rung_count = sweep_lanes(lane_buffer(), lane_count=settings.AUTOCOM.lanes)
    close_old_connections()
    try:  # lanes must be rung while PostgreSQL is away
        note_pauses(lane_buffer(), lane_count=settings.AUTOCOM.lanes)
        send_stranded(buffer=lane_buffer())
    except Error as error:
        log.warning("stranded_retries_not_known", extra={"error": str(error)})
    return rung_count


def retention() -> dict[str, int]:
    """Ages out what is due, for a second at most: the sweeper waits on the same queue."""
    close_old_connections()
    try:
        bounds = bounds_now(lane_buffer(), lane_count=settings.AUTOCOM.lanes)
        report = age_out(RetentionPolicy.from_settings(), bounds=bounds, pace=Pace(), clock=SYSTEM_CLOCK)
        add_aged(report.removed, client=lane_buffer().client)
    except (BufferUnavailable, RedisError, Error) as error:
        log.warning("retention_broken_off", extra={"error": str(error)})  # the next round goes on from here
        return {}
    return report.removed


def roll_up() -> int:
    """How many rows of measurements went into roll-ups by the minute."""
    close_old_connections()
    return _rolled(roll_up_minutes)


def roll_up_by_hour() -> int:
    """How many rows went into roll-ups by the hour."""
    close_old_connections()
    return _rolled(roll_up_hours)


def merge_latencies() -> int:
    """How many rows of latencies went into merges for the pages of long ranges."""
    close_old_connections()
    return _rolled(make_merges)


def _rolled(roll: Callable[..., Sequence[Outcome]]) -> int:
    try:
        return sum(outcome.rows_count for outcome in roll(pace=ROLL_UP_PACE, clock=SYSTEM_CLOCK))
    except Error as error:
        log.warning("roll_up_broken_off", extra={"error": str(error)})
        return 0
