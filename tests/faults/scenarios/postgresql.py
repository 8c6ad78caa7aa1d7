"""PostgreSQL dies, stalls, refuses, or leaves the outcome of a COMMIT open."""

from __future__ import annotations

import os
import signal
import threading

import psutil
import psycopg

from tests.faults import volume
from tests.faults.stack import StackOptions
from tests.faults.trial import Scenario, Strike

COMMITS_TO_CUT = 8


def killed(strike: Strike) -> None:
    os.kill(strike.stack.postmaster_pid, signal.SIGKILL)
    strike.hold(1)


def restarted(strike: Strike) -> None:
    os.kill(strike.stack.postmaster_pid, signal.SIGINT)
    strike.hold(1)


def stalled(strike: Strike) -> None:
    postmaster = psutil.Process(strike.stack.postmaster_pid)
    with strike.stack.stopped([postmaster.pid, *(child.pid for child in postmaster.children())]):
        strike.hold(5)


def backends_ended(strike: Strike) -> None:
    with strike.stack.sql() as connection:
        for _ in range(10):
            connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid() "
                "AND backend_type = 'client backend'"
            )
            strike.hold(0.2)


def statements_cancelled(strike: Strike) -> None:
    """As a statement timeout does: the same error, at any statement."""
    with strike.stack.sql() as connection:
        for _ in range(60):
            connection.execute(
                "SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid() "
                "AND backend_type = 'client backend' AND state <> 'idle'"
            )
            strike.hold(0.05)


def connections_used_up(strike: Strike) -> None:
    """Others hold every connection, and ours were ended: there is no getting in for 4 s."""
    stack = strike.stack
    held: list[psycopg.Connection] = []
    with stack.sql() as ours:
        ours.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid() "
            "AND backend_type = 'client backend'"
        )
        try:
            while len(held) < 200:
                held.append(stack.sql())
        except psycopg.OperationalError as error:
            strike.notes.append(f"{len(held)} connections held; then: {str(error).splitlines()[0][-60:]}")
        strike.hold(4)
    for connection in held:
        connection.close()


def deadlock(strike: Strike) -> None:
    """A table lock and a lane's row, taken the other way round than the drain takes them."""
    deadlocks = 0
    for turn in range(4):
        with psycopg.connect(strike.stack.postgres.db_url) as connection:
            try:
                connection.execute("SET deadlock_timeout = '200ms'" if turn % 2 else "SET deadlock_timeout = '20s'")
                connection.execute("LOCK TABLE ingestion_event IN SHARE MODE")
                strike.hold(0.3)
                connection.execute("SET LOCAL lock_timeout = '4s'")
                connection.execute("SELECT number FROM ingestion_lane ORDER BY number FOR UPDATE")
                strike.hold(0.3)
            except (psycopg.errors.DeadlockDetected, psycopg.errors.LockNotAvailable):
                deadlocks += 1
            connection.rollback()
    strike.notes.append(f"{deadlocks} of 4 ended with this side as the victim")


def table_locked(strike: Strike) -> None:
    with psycopg.connect(strike.stack.postgres.db_url) as connection:
        connection.execute("LOCK TABLE ingestion_event IN ACCESS EXCLUSIVE MODE")
        strike.hold(5)
        connection.rollback()


def read_only(strike: Strike) -> None:
    with strike.stack.sql() as connection:
        connection.execute("ALTER SYSTEM SET default_transaction_read_only = on")
        connection.execute("SELECT pg_reload_conf()")
        strike.hold(3)
        connection.execute("SET default_transaction_read_only = off")
        connection.execute("ALTER SYSTEM RESET default_transaction_read_only")
        connection.execute("SELECT pg_reload_conf()")


def commit_unknown(strike: Strike) -> None:
    """COMMIT reaches the server and its answer reaches nobody, several times."""
    proxy = strike.stack.proxies["worker-postgres"]
    enough = threading.Event()
    before = proxy.cut_count

    def commits(data: bytes) -> bool:
        return b"COMMIT" in data

    proxy.weather.cut_after = commits
    for _ in range(200):
        if proxy.cut_count - before >= COMMITS_TO_CUT:
            break
        enough.wait(0.1)
    proxy.weather.cut_after = None
    strike.notes.append(f"{proxy.cut_count - before} commits without an answer")
    if proxy.cut_count == before:
        raise RuntimeError("no COMMIT came by")


def disk_full(strike: Strike) -> None:
    disk = strike.stack.volumes["pg"]
    try:
        disk.fill()
        strike.hold(5)
    finally:
        disk.make_room()


SCENARIOS = (
    Scenario(id="postgres-killed", title="kill -9 of PostgreSQL", strike=killed),
    Scenario(id="postgres-restarted", title="PostgreSQL restarted in order", strike=restarted),
    Scenario(id="postgres-stalled", title="PostgreSQL stalled for 5 s", strike=stalled),
    Scenario(
        id="postgres-backends-ended", title="every connection to PostgreSQL ended, ten times", strike=backends_ended
    ),
    Scenario(
        id="postgres-statements-cancelled", title="statements cancelled as by a timeout", strike=statements_cancelled
    ),
    Scenario(
        id="postgres-connections-used-up", title="PostgreSQL's connection limit reached", strike=connections_used_up
    ),
    Scenario(id="postgres-deadlock", title="deadlocks between a drain and somebody else", strike=deadlock),
    Scenario(id="postgres-table-locked", title="the table of events locked for 5 s", strike=table_locked),
    Scenario(id="postgres-read-only", title="PostgreSQL read-only for 3 s", strike=read_only),
    Scenario(
        id="postgres-commit-unknown",
        title="connections cut after COMMIT was sent",
        strike=commit_unknown,
        options=StackOptions(has_proxies=True),
    ),
    Scenario(
        id="postgres-disk-full",
        title="PostgreSQL's disk full for 5 s",
        strike=disk_full,
        options=StackOptions(has_volumes=True),
        untested=volume.why_unavailable,
    ),
)
