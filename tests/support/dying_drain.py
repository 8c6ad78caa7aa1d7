"""Drains one lane and dies by SIGKILL at a named point: `python -m tests.support.dying_drain LANE POINT LEASE_MS`.

The points are put around the drain's steps from here; the code under test knows nothing of them.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import django

POINTS = ("after claim", "after read", "inside the transaction", "after COMMIT", "after trim", "after release")


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def then_die(step: Callable[..., Any]) -> Callable[..., Any]:
    def dying(*args: Any, **options: Any) -> None:
        step(*args, **options)
        die()

    return dying


def die_instead(*_: Any, **__: Any) -> None:
    die()


def drain(lane: int, point: str, lease: timedelta) -> None:
    from autocom.kernel.clock import SYSTEM_CLOCK
    from ingestion import commit
    from ingestion import drain as drain_step
    from ingestion.buffer.store import LaneBuffer, LeasePolicy, lane_buffer
    from ingestion.latency import LatencyRecorder
    from tests.support.lanes import PROMPT

    match point:
        case "after claim":
            LaneBuffer.claim = then_die(LaneBuffer.claim)  # type: ignore[method-assign]
        case "after read":
            setattr(drain_step, "settle", die_instead)  # noqa: B010  (a name that the module imported)
        case "inside the transaction":
            commit._write_batch = then_die(commit._write_batch)
        case "after COMMIT":
            LaneBuffer.trim = die_instead  # type: ignore[method-assign]
        case "after trim":
            LaneBuffer.trim = then_die(LaneBuffer.trim)  # type: ignore[method-assign]
        case "after release":
            LaneBuffer.release = then_die(LaneBuffer.release)  # type: ignore[method-assign]
        case _:
            raise SystemExit(f"{point!r} is none of {POINTS}")
    buffer = LaneBuffer(client=lane_buffer().client, policy=LeasePolicy(lease=lease, wake=lease * 1.5))
    drain_step.Drainer(
        buffer=buffer, recorder=LatencyRecorder(process="dying"), clock=SYSTEM_CLOCK, worker="dying", policy=PROMPT
    ).drain(lane, job_id="dying")


if __name__ == "__main__":
    django.setup()
    drain(int(sys.argv[1]), sys.argv[2], timedelta(milliseconds=int(sys.argv[3])))
