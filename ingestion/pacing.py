"""Long work on tables that others use, in short transactions with pauses between them and an end in time."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

from django.db import OperationalError, connection, transaction

from autocom.kernel.clock import Clock
from ingestion.drain import STOP

type Step = Callable[
    [int], int | None
]  # at most so many rows, in an open transaction: rows done, None when none is left

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """How much is done at once, and for how long. Commits, acks and the sweeper must not feel it."""

    rows_limit_count: int = 1_000
    pause: timedelta = timedelta(milliseconds=20)
    budget: timedelta = timedelta(seconds=1)  # the ops queue waits meanwhile, and the sweeper's jobs are on it
    lock_timeout: timedelta = timedelta(milliseconds=500)
    statement_timeout: timedelta = timedelta(seconds=10)


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """`is_complete`: nothing was left to do. Otherwise time was up, or somebody held a lock for too long."""

    rows_count: int
    steps_count: int
    is_complete: bool


def in_steps(step: Step, *, pace: Pace, clock: Clock, deadline_ns: int) -> Outcome:
    """Repeats the step until nothing is left or time is up; each is a transaction of its own. Raises django.db.Error.

    What a step did stays done, whatever becomes of the next.
    """
    rows_count = steps_count = 0
    while clock.monotonic_ns() < deadline_ns and not STOP.is_set():
        try:
            done = _in_transaction(step, pace)
        except OperationalError as error:
            if getattr(error.__cause__, "sqlstate", "") != LOCK_NOT_AVAILABLE:
                raise
            log.info("step_gave_way", extra={"error": str(error)})
            break
        if done is None:
            return Outcome(rows_count=rows_count, steps_count=steps_count, is_complete=True)
        rows_count, steps_count = rows_count + done, steps_count + 1
        STOP.wait(pace.pause.total_seconds())
    return Outcome(rows_count=rows_count, steps_count=steps_count, is_complete=False)


LOCK_NOT_AVAILABLE = "55P03"  # SQLSTATE of a lock that was not given within lock_timeout


def _in_transaction(step: Step, pace: Pace) -> int | None:
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT set_config('lock_timeout', %s, true), set_config('statement_timeout', %s, true)",
                [str(_ms(pace.lock_timeout)), str(_ms(pace.statement_timeout))],
            )
        return step(pace.rows_limit_count)


def _ms(span: timedelta) -> int:
    return span // timedelta(milliseconds=1)
