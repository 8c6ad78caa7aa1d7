"""Real worker processes against the tests' servers, one that dies where it is told, and how to wait for them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import UUID

import psutil
import psycopg
import pytest
from django.conf import settings
from django.db import connection

PROJECT = Path(__file__).resolve().parents[2]
PATIENCE_SECONDS = 30.0


def database_url() -> str:
    """The tests' own database, as another process is told of it."""
    options = connection.get_connection_params()
    return f"postgresql://{options['user']}@/{options['dbname']}?host={options['host']}"


def other_connection() -> psycopg.Connection:
    """A second, autocommitting connection to the tests' database."""
    options = connection.get_connection_params()
    return psycopg.connect(host=options["host"], user=options["user"], dbname=options["dbname"], autocommit=True)


def end_other_backends() -> int:
    """Ends every connection to the tests' database but the asking one, as a restarted PostgreSQL would.

    How many those were.
    """
    with other_connection() as other:
        rows = other.execute(
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid() AND pid <> %s",
            [connection.connection.info.backend_pid if connection.connection else 0],
        ).fetchall()
    return len(rows)


def environment(*, redis_url: str = "") -> dict[str, str]:
    return {**os.environ, "DB_URL": database_url(), "REDIS_URL": redis_url or settings.AUTOCOM.redis_url}


@contextmanager
def running_worker(*, queue: str = "drain", redis_url: str = "") -> Iterator[subprocess.Popen[bytes]]:
    """`manage.py worker`; gone afterwards, by force where it would not go."""
    with running_command("worker", "--queue", queue, redis_url=redis_url) as process:
        yield process


@contextmanager
def running_command(*words: str, redis_url: str = "") -> Iterator[subprocess.Popen[bytes]]:
    """A service of `manage.py`; gone afterwards, by force where it would not go."""
    process = subprocess.Popen(
        [sys.executable, "manage.py", *words],
        cwd=PROJECT,
        env=environment(redis_url=redis_url),
        stdin=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            process.terminate()
            try:
                process.wait(timeout=10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def stop(process: subprocess.Popen[bytes], *, seconds: float = PATIENCE_SECONDS) -> int:
    """SIGTERM; the exit code. Raises TimeoutExpired."""
    process.send_signal(signal.SIGTERM)
    return process.wait(timeout=seconds)


def drain_and_die(*, lane: int, point: str, lease_ms: int) -> int:
    """A process that drains the lane and kills itself with SIGKILL at the point; its exit code."""
    return _run("tests.support.dying_drain", str(lane), point, str(lease_ms))


def retry_and_die(event_id: UUID, *, point: str) -> int:
    """A process that asks for a retry of the letter and kills itself with SIGKILL at the point; its exit code."""
    return _run("tests.support.dying_retry", str(event_id), point)


def _run(module: str, *words: str) -> int:
    return subprocess.run(
        [sys.executable, "-m", module, *words],
        cwd=PROJECT,
        env=environment(),
        stdin=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        timeout=60,
        check=False,
    ).returncode


def wait_for(condition: Callable[[], object], *, what: str, seconds: float = PATIENCE_SECONDS) -> None:
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if condition():
            return
        time.sleep(0.02)
    pytest.fail(f"not within {seconds:g} s: {what}")


def process_of(*words: str) -> psutil.Process:
    """The one whose command line ends with these words. Raises StopIteration where there is none."""
    return next(each for each in psutil.process_iter() if tuple(_words(each)[-len(words) :]) == words)


def _words(process: psutil.Process) -> list[str]:
    try:
        words: list[str] = process.cmdline()
    except psutil.Error:
        return []
    return words
