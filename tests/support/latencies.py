"""Rows of measured latencies, as a process would have stored them at any moment."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime
from itertools import count

from ingestion.latency import StageCounts
from ingestion.latency_store import encoded
from ingestion.models import LatencyFlush

_numbers = count(1)


def flush(
    at: datetime,
    durations_us: Sequence[int] | Mapping[int, int],
    *,
    stage: str = "ack",
    provider: str = "default",
    process: str = "",
) -> LatencyFlush:
    """Of the minute that holds the moment. `process`: MINUTE or HOUR for a row that a roll-up made."""
    counts = StageCounts()
    for duration_us, times in Counter(durations_us).items():  # a mapping says how often each occurred
        counts.add(duration_us, times)
    number = next(_numbers)
    return LatencyFlush.objects.create(
        minute=at.replace(second=0, microsecond=0),
        stage=stage,
        provider=provider,
        process=process or f"test-{number}",
        flush_number=0 if process else number,
        count=counts.count,
        within_slo_count=counts.within_slo_count,
        sum_us=counts.sum_us,
        max_us=counts.max_us,
        clamped_count=counts.clamped_count,
        histogram=encoded(counts.histogram),
    )
