"""Measurements as the ingress and the workers leave them, at chosen minutes."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta

from ingestion.latency import ALIVE, StageCounts, Taken
from ingestion.latency_store import store

NOON = datetime(2027, 3, 10, 12, tzinfo=UTC)
MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)
_flush = Counter[str]()


def measured(
    minute: datetime,
    *,
    answers: dict[str, int] | None = None,
    acks_us: dict[int, int] | None = None,
    lags_us: dict[int, int] | None = None,
    provider: str = "p",
) -> None:
    """One flush; `acks_us` and `lags_us` are durations with how often each occurred."""
    _flush["test"] += 1
    stages = {}
    for stage, durations in (("ack", acks_us), ("end_to_end", lags_us)):
        counts = StageCounts()
        for duration_us, count in (durations or {}).items():
            counts.add(duration_us, count)
        if durations:
            stages[minute, stage, provider] = counts
    outcomes = Counter({(minute, provider, code): count for code, count in (answers or {}).items()})
    outcomes[minute, "", ALIVE] = 0
    store(Taken(flush_number=_flush["test"], stages=stages, outcomes=outcomes), process="test-budget")


def alive(since: datetime, until: datetime) -> None:
    """An idle ingress."""
    while since < until:
        measured(since)
        since += MINUTE
