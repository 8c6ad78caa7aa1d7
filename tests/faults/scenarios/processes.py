"""Processes of ours that die or stand still, at named points and anywhere."""

from __future__ import annotations

import os
import resource
import signal
from functools import partial

import psutil

from ingestion.buffer import keys
from ingestion.buffer.store import LaneBuffer
from tests.faults.stack import LANES
from tests.faults.trial import Fault, Scenario, Strike

POINT_SECONDS = 20.0  # a worker comes by each point many times in this time
LONGER_THAN_LEASE_SECONDS = 7.0
INGRESS_POINTS = {
    "before-append": "ingress killed before the append",
    "after-append": "ingress killed after the append, before its answer",
}
WORKER_POINTS = {
    "after-claim": "worker killed after it took the lease",
    "after-read": "worker killed after it read the entries",
    "inside-the-transaction": "worker killed inside the transaction",
    "after-commit": "worker killed between COMMIT and trim",
    "after-trim": "worker killed after the trim",
    "after-release": "worker killed after it gave up the lane",
}


def killed_at(point: str) -> Fault:
    def strike(strike: Strike) -> None:
        strike.stack.order(point, "kill")
        strike.stack.struck(point, within_seconds=POINT_SECONDS)

    return strike


def stopped_at(point: str, strike: Strike) -> None:
    """The process stands still there for longer than its lease; then it goes on where it was."""
    stack = strike.stack
    stack.order(point, "stop")
    pid = stack.struck(point, within_seconds=POINT_SECONDS)
    try:
        strike.hold(LONGER_THAN_LEASE_SECONDS)
    finally:
        os.kill(pid, signal.SIGCONT)


def ingress_worker_killed(strike: Strike) -> None:
    strike.stack.kill([strike.rng.choice(strike.stack.ingress_workers())])
    strike.hold(1)


def ingress_killed(strike: Strike) -> None:
    strike.stack.kill(strike.stack.pids("ingress"))
    strike.hold(1)


def ingress_stalled(strike: Strike) -> None:
    with strike.stack.stopped(strike.stack.ingress_workers()):
        strike.hold(3)


def workers_stalled(strike: Strike) -> None:
    with strike.stack.stopped(strike.stack.pids("worker")):
        strike.hold(LONGER_THAN_LEASE_SECONDS)


def workers_killed_with_the_last_event(strike: Strike) -> None:
    """Nothing comes after it that could wake the lanes again: only the sweeper does."""
    stack = strike.stack
    with stack.stopped(stack.pids("worker")):
        strike.until_load_ends()
        held = stack.depth()
        with stack.redis() as client:
            client.delete(keys.rq_queue(keys.DRAIN_QUEUE))  # the wake-up calls are lost with the workers
        stack.kill(stack.pids("worker"))
    strike.notes.append(f"{held} entries had only the sweeper")


def ops_and_cron_killed(strike: Strike) -> None:
    strike.stack.kill([*strike.stack.pids("ops worker"), *strike.stack.pids("cron")])
    strike.hold(1)


def worker_out_of_memory(strike: Strike) -> None:
    """Its next allocation of any size fails; nobody kills it."""
    process = psutil.Process(strike.stack.pids("worker")[0])
    limit_bytes = process.memory_info().vms + 65_536
    process.rlimit(resource.RLIMIT_AS, (limit_bytes, resource.RLIM_INFINITY))
    strike.hold(4)
    if process.is_running() and process.status() != psutil.STATUS_ZOMBIE:
        process.rlimit(resource.RLIMIT_AS, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))


def two_drainers(strike: Strike) -> None:
    """The lanes' leases vanish again and again, and jobs for them are on the queue at once."""
    stack = strike.stack
    with stack.redis() as client:
        lanes = LaneBuffer(client=client)
        for turn in range(40):
            lane = strike.rng.randrange(LANES)
            client.delete(keys.lease(lane), keys.wake(lane))
            lanes.ring_if_unattended(lane, job_id=f"second-{lane}-{turn}-{strike.rng.getrandbits(48):x}".encode())
            strike.hold(0.1)


def rolling_restart(strike: Strike) -> None:
    """Each process ends in order, and the next only when that one is back."""
    stack = strike.stack
    for child in stack.supervisor.children:
        old = child.process
        assert old is not None
        old.send_signal(signal.SIGTERM)
        old.wait(30)
        while child.process is old:
            strike.hold(0.1)
        stack.wait_until_ready()


SCENARIOS = (
    *(Scenario(id=f"ingress-{point}", title=title, strike=killed_at(point)) for point, title in INGRESS_POINTS.items()),
    Scenario(id="ingress-worker-killed", title="kill -9 of a serving process", strike=ingress_worker_killed),
    Scenario(id="ingress-killed", title="kill -9 of the ingress, its workers with it", strike=ingress_killed),
    Scenario(id="ingress-stalled", title="ingress stalled for 3 s", strike=ingress_stalled),
    *(Scenario(id=f"worker-{point}", title=title, strike=killed_at(point)) for point, title in WORKER_POINTS.items()),
    Scenario(
        id="workers-killed-at-the-end",
        title="all workers and their jobs gone after the last event",
        strike=workers_killed_with_the_last_event,
    ),
    Scenario(id="workers-stalled", title="all workers stalled beyond their leases", strike=workers_stalled),
    Scenario(
        id="lease-lost-in-commit",
        title="worker stalled inside its transaction, beyond its lease",
        strike=partial(stopped_at, "inside-the-transaction"),
    ),
    Scenario(
        id="drainer-wakes-late",
        title="worker stalled with entries in hand, beyond its lease",
        strike=partial(stopped_at, "after-read"),
    ),
    Scenario(id="worker-out-of-memory", title="worker without memory for 4 s", strike=worker_out_of_memory),
    Scenario(id="two-drainers", title="two drainers on one lane, leases vanishing", strike=two_drainers),
    Scenario(id="ops-and-cron-killed", title="kill -9 of ops worker and cron", strike=ops_and_cron_killed),
    Scenario(id="rolling-restart", title="rolling restart of every process", strike=rolling_restart),
)
