"""What is told of jobs and requests that are over."""

from __future__ import annotations

from autocom.kernel.clock import SYSTEM_CLOCK
from autocom.kernel.ids import new_request_id
from autocom.spans import AnsweredRequest
from ingestion.worker import EndedJob


def ended_job(name: str, *, queue: str, is_done: bool = True) -> EndedJob:
    now_us = SYSTEM_CLOCK.now_us()
    run_id = new_request_id(now_us=now_us)
    return EndedJob(name=name, is_done=is_done, took_seconds=0.1, queue=queue, run_id=run_id, began_us=now_us)


def answered_request(*, method: str = "GET", status: int = 200) -> AnsweredRequest:
    now_us = SYSTEM_CLOCK.now_us()
    return AnsweredRequest(
        request_id=new_request_id(now_us=now_us),
        method=method,
        view="admin:latency",
        route="admin/latency/",
        status=status,
        began_us=now_us,
        ended_us=now_us + 1_000,
    )
