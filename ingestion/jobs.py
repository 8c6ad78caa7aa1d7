"""What RQ runs. Each job takes a lane or nothing, calls one function, and may be lost or repeated."""

from __future__ import annotations

import logging
from typing import Any

from django.conf import settings
from django.db import Error, close_old_connections
from rq import get_current_job

from autocom.kernel.clock import SYSTEM_CLOCK
from autocom.kernel.request_context import REQUEST_ID
from ingestion.buffer.store import BufferUnavailable, lane_buffer
from ingestion.drain import Drainer
from ingestion.latency import RECORDER
from ingestion.redrive.send import send_stranded
from ingestion.sweep import sweep_lanes

log = logging.getLogger(__name__)


def drain(lane: int) -> dict[str, Any]:
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
    return {"lane": lane, "outcome": report.outcome, "events": len(report.settled.stored)}


def sweep() -> int:
    """Rings for every lane that has entries and nobody at work; sends again the retries that got lost on the way."""
    rung_count = sweep_lanes(lane_buffer(), lane_count=settings.AUTOCOM.lanes)
    close_old_connections()
    try:
        send_stranded(buffer=lane_buffer())
    except Error as error:  # lanes must be rung while PostgreSQL is away
        log.warning("stranded_retries_not_known", extra={"error": str(error)})
    return rung_count
