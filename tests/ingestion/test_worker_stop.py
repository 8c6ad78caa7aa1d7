"""A worker, and the cron, that is asked to end does, even where somebody swallows the exception that RQ asks with."""

from __future__ import annotations

import subprocess
import sys

import pytest
from django.conf import settings

from ingestion.buffer import keys
from ingestion.buffer.store import LaneBuffer
from tests.support.workers import PROJECT, environment

# Sentry's SDK guards its own code around every command to Redis with such an except
SCRIPT = """
import os, signal, sys, time
import django
django.setup()
from rq import Queue
from ingestion.worker import Cron, DrainWorker, cron, drain_worker
owner = {"dequeue_any": Queue, "prepare_execution": DrainWorker, "enqueue_jobs": Cron}[sys.argv[1]]
original = getattr(owner, sys.argv[1])
sent = []
def interrupted(*args, **kwargs):
    if not sent:
        sent.append(True)
        try:
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(0.05)
        except Exception:
            pass
    return original(*args, **kwargs)
setattr(owner, sys.argv[1], interrupted)
if owner is Cron:
    cron().start()
else:
    drain_worker(queue="drain", name="worker-stop").work(logging_level="WARNING")
"""


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("step", ["dequeue_any", "prepare_execution", "enqueue_jobs"])
def test_a_sigterm_whose_exception_is_swallowed_is_not_forgotten(buffer: LaneBuffer, step: str) -> None:
    buffer.client.xadd(keys.stream(0), {"k": "E", "t": "1", "m": "{}", "h": "x"}, id="1-0")
    assert buffer.ring_if_unattended(0, job_id=b"drain-0-test")
    worker = subprocess.Popen(
        [sys.executable, "-c", SCRIPT, step],
        cwd=PROJECT,
        env=environment(redis_url=settings.AUTOCOM.redis_url),
        stdin=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        worker.wait(timeout=14)  # before a supervisor loses its patience
    finally:
        worker.kill()
        worker.wait()
