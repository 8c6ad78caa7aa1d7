"""Ack and commit latency by the sampler's five seconds: from the sender's journal and from the tables."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping

import psycopg

from bench.soak.sample import EVERY_SECONDS, Sample
from ingestion.replay.figures import Quantiles
from ingestion.replay.history import History

SHARE_OF_A_WINDOW = 0.5  # a shorter rest at the end of the run is no window

LAG = """
SELECT floor((extract(epoch FROM event.accepted_at) - %(began)s) / %(width)s)::int AS window_number,
       percentile_disc(ARRAY[0.5, 0.95, 0.99]) WITHIN GROUP (
           ORDER BY extract(epoch FROM batch.committed_at - event.accepted_at) * 1000)::float8[]
  FROM ingestion_event AS event JOIN ingestion_batch AS batch ON batch.number = event.batch_id
 GROUP BY 1 ORDER BY 1
"""


def ack_windows(history: History) -> list[Sample]:
    """Percentiles of the first attempts answered 2xx, from the intended moment, in milliseconds."""
    by_window: dict[int, list[int]] = defaultdict(list)
    ends_ns = history.sends[-1].intended_ns if history.sends else 0
    for send in history.sends:
        first = send.first
        if first and first.is_acknowledged:
            number = int((send.intended_ns - history.start_ns) / 1e9 // EVERY_SECONDS)
            by_window[number].append((first.ack_ns - send.intended_ns) // 1_000)
    length_seconds = (ends_ns - history.start_ns) / 1e9
    return [
        {"at_seconds": number * EVERY_SECONDS, **_percentiles(samples)}
        for number, samples in sorted(by_window.items())
        if length_seconds - number * EVERY_SECONDS > EVERY_SECONDS * SHARE_OF_A_WINDOW
    ]


def _percentiles(samples_us: list[int]) -> Mapping[str, float]:
    figures = Quantiles.of(samples_us)
    named = {"ack|p50": figures.p50, "ack|p95": figures.p95, "ack|p99": figures.p99}
    return {name: value for name, value in named.items() if value is not None}


def lag_windows(database: psycopg.Connection, *, began_wall: float) -> list[Sample]:
    """From accepted (Redis's clock) to just before COMMIT (the worker's), of the events accepted in each window."""
    rows = database.execute(LAG, {"began": began_wall, "width": EVERY_SECONDS}).fetchall()
    return [
        {"at_seconds": number * EVERY_SECONDS, **dict(zip(("lag|p50", "lag|p95", "lag|p99"), values, strict=True))}
        for number, values in rows
        if number >= 0
    ]
