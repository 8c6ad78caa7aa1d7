"""A whole replay: send, wait until everything promised is stored, reconcile, judge."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final

from django.db import Error as AnyDatabaseError

from ingestion.replay.config import GeneratorConfig
from ingestion.replay.history import History
from ingestion.replay.reconcile import reconcile
from ingestion.replay.report import Report
from ingestion.replay.run import GeneratorResult, Progress, run_generator
from ingestion.replay.stored import DRAIN_LIMIT, stored_rows, wait_until_stored
from ingestion.replay.verdict import judge

SENDS_AT_LEAST_COUNT: Final = 200  # as many as a P95 needs


def replay(config: GeneratorConfig, *, gate: str, on_progress: Callable[[Progress], None]) -> Report:
    """The judged run. Raises what `run_generator` raises; a database that cannot be read makes it INCONCLUSIVE."""
    return judged(run_generator(config, on_progress=on_progress), gate=gate)


def judged(result: GeneratorResult, *, gate: str) -> Report:
    """The report on a finished run, once its events are stored or two minutes have passed."""
    history = result.history
    try:
        is_drained = wait_until_stored(history, limit=DRAIN_LIMIT)
    except KeyboardInterrupt:  # no more waiting; what is there is judged
        is_drained = False
    try:
        stored = stored_rows(history)
    except AnyDatabaseError:
        verdict = judge(result.figures, None, gate=gate)
        return Report(result=result, reconciliation=None, verdict=verdict, is_drained=False, drained_after_seconds=None)
    reconciliation = reconcile(
        history, rows=stored.rows, aliases=stored.aliases, sends_at_least_count=SENDS_AT_LEAST_COUNT
    )
    return Report(
        result=result,
        reconciliation=reconciliation,
        verdict=judge(result.figures, reconciliation, gate=gate),
        is_drained=is_drained,
        drained_after_seconds=_drained_after_seconds(history, stored.last_committed_at) if is_drained else None,
    )


def _drained_after_seconds(history: History, last_committed_at: datetime | None) -> float | None:
    """From the last ack to the last commit, 0 when the commit came first. Two clocks of one machine are compared."""
    acks_ns = [send.acknowledged.ack_ns for send in history.sends if send.acknowledged]
    if not acks_ns or last_committed_at is None:
        return None
    last_ack = datetime.fromtimestamp(history.wall_ns(max(acks_ns)) / 1_000_000_000, tz=UTC)
    return max(0.0, (last_committed_at - last_ack).total_seconds())
