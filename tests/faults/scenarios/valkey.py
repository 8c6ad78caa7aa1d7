"""Redis (Valkey here) dies, stalls, refuses, forgets, or loses its power."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Sequence

import redis

from ingestion.buffer import keys
from ingestion.replay.history import History
from tests.faults import volume
from tests.faults.stack import LANES, StackOptions
from tests.faults.trial import Scenario, Strike

ANSWER_AT_MOST_MS = 3_000.0  # a second by design; the rest is for a machine that runs everything at once
VOLUMES = StackOptions(has_volumes=True)


def killed(strike: Strike) -> None:
    os.kill(strike.stack.redis_pid, signal.SIGKILL)
    strike.hold(1)


def restarted(strike: Strike) -> None:
    os.kill(strike.stack.redis_pid, signal.SIGTERM)
    strike.hold(1)


def stalled(strike: Strike) -> None:
    with strike.stack.stopped([strike.stack.redis_pid]):
        strike.hold(5)


def out_of_memory(strike: Strike) -> None:
    with strike.stack.redis() as client:
        before = client.config_get("maxmemory")["maxmemory"]
        client.config_set("maxmemory", "1mb")
        strike.hold(3)
        client.config_set("maxmemory", before)


def read_only(strike: Strike) -> None:
    """As after a failover: the address leads to a replica."""
    with strike.stack.redis() as client:
        client.execute_command("REPLICAOF", "127.0.0.1", "1")
        strike.hold(3)
        client.execute_command("REPLICAOF", "NO", "ONE")


def wrong_type(strike: Strike) -> None:
    """Somebody wrote a string where a lane keeps its state."""
    lane = strike.rng.randrange(LANES)
    aside = keys.TAG + b"aside"
    with strike.stack.redis() as client:
        with client.pipeline(transaction=True) as pipe:
            pipe.rename(keys.state(lane), aside)
            pipe.set(keys.state(lane), "not a hash")
            pipe.execute()
        strike.hold(2)
        client.rename(aside, keys.state(lane))


def scripts_flushed(strike: Strike) -> None:
    with strike.stack.redis() as client:
        for _ in range(20):
            client.script_flush()
            strike.hold(0.1)


def dedupe_forgotten(strike: Strike) -> None:
    """Every dedupe window passes at once, several times: what comes again looks new to Redis."""
    with strike.stack.redis() as client:
        for _ in range(10):
            if known := list(client.scan_iter(match=keys.seen(b"") + b"*", count=5_000)):
                client.unlink(*known)  # one write, one sync
            strike.hold(0.2)


def killed_while_rewriting(strike: Strike) -> None:
    with strike.stack.redis() as client, contextlib.suppress(redis.ResponseError):  # it may rewrite by itself just now
        client.bgrewriteaof()
    strike.hold(strike.rng.uniform(0.0, 0.1))
    killed(strike)


def connections_cut(strike: Strike) -> None:
    with strike.stack.redis() as client:
        for _ in range(10):
            client.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
            strike.hold(0.2)


def disk_full(strike: Strike) -> None:
    disk = strike.stack.volumes["redis"]
    try:
        disk.fill()
        strike.hold(4)
    finally:
        disk.make_room()


def power_lost(strike: Strike) -> None:
    """What had reached the disk of Redis is all that is left of it."""
    stack = strike.stack
    disk, pid = stack.volumes["redis"], stack.redis_pid
    stack.may_revive.clear()
    try:
        os.kill(pid, signal.SIGSTOP)  # not a byte more after this moment
        disk.fail_power()
        os.kill(pid, signal.SIGKILL)
        strike.hold(1)
        disk.restore_power()
    finally:
        stack.may_revive.set()
    strike.notes.append("what was in memory only was lost with the power: a snapshot below the file system")


def answered_in_time(history: History, _: Strike) -> Sequence[str]:
    """Never a hang: whatever Redis does, the sender has its answer."""
    slow = [
        attempt
        for send in history.sends
        for attempt in send.attempts
        if attempt.status and (attempt.ack_ns - attempt.sent_ns) / 1e6 > ANSWER_AT_MOST_MS
    ]
    return [f"{len(slow)} answers took longer than {ANSWER_AT_MOST_MS:.0f} ms"] if slow else []


def refused_meanwhile(history: History, strike: Strike) -> Sequence[str]:
    """The fault was felt: somebody was told 503."""
    told = any(attempt.status == 503 for send in history.sends for attempt in send.attempts)
    return [*answered_in_time(history, strike), *([] if told else ["nobody was told 503"])]


SCENARIOS = (
    Scenario(id="redis-killed", title="kill -9 of Redis, restart from its file", strike=killed),
    Scenario(id="redis-restarted", title="Redis restarted in order", strike=restarted),
    Scenario(id="redis-stalled", title="Redis stalled for 5 s", strike=stalled, requires=refused_meanwhile),
    Scenario(
        id="redis-out-of-memory", title="Redis out of memory for 3 s", strike=out_of_memory, requires=refused_meanwhile
    ),
    Scenario(id="redis-read-only", title="Redis read-only for 3 s", strike=read_only, requires=refused_meanwhile),
    Scenario(
        id="redis-wrong-type", title="a lane's state of a wrong type", strike=wrong_type, requires=refused_meanwhile
    ),
    Scenario(id="redis-scripts-flushed", title="Redis forgets its scripts", strike=scripts_flushed),
    Scenario(
        id="redis-dedupe-forgotten",
        title="Redis forgets its dedupe windows",
        strike=dedupe_forgotten,
        load={"duplicates": 0.3},
    ),
    Scenario(
        id="redis-killed-rewriting", title="kill -9 of Redis while it rewrites its file", strike=killed_while_rewriting
    ),
    Scenario(id="redis-connections-cut", title="Redis cuts every connection, ten times", strike=connections_cut),
    Scenario(
        id="redis-disk-full",
        title="the disk of Redis full for 4 s",
        strike=disk_full,
        options=VOLUMES,
        untested=volume.why_unavailable,
    ),
    Scenario(
        id="redis-power-lost",
        title="power loss of Redis: only what it synced is left",
        strike=power_lost,
        options=VOLUMES,
        untested=volume.why_unavailable,
    ),
)
