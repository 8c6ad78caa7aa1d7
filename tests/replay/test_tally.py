"""The progress line's percentiles: right to 0.1 ms, and as quick for a long run as for a short one."""

from __future__ import annotations

import random
from time import process_time

import pytest

from ingestion.replay.percentiles import P50, P95, P99, nearest_rank
from ingestion.replay.tally import LATENCY_STEP_US, Tally


def filled(latencies_us: list[int]) -> Tally:
    tally = Tally(planned_count=len(latencies_us))
    for latency_us in latencies_us:
        tally.acked(latency_us=latency_us)
    return tally


@pytest.mark.parametrize("count", [1, 2, 20, 999])
def test_the_shown_percentiles_are_the_measured_ones_to_a_tenth_of_a_millisecond(count: int) -> None:
    latencies_us = [int(random.Random(count + n).lognormvariate(8, 1)) for n in range(count)]
    shown = filled(latencies_us).progress()
    for name, percent in (("p50_us", P50), ("p95_us", P95), ("p99_us", P99)):
        exact_us = nearest_rank(sorted(latencies_us), percent=percent)
        assert shown[name] == exact_us // LATENCY_STEP_US * LATENCY_STEP_US


def test_nothing_acked_shows_no_percentile() -> None:
    assert filled([]).progress()["p50_us"] is None


def test_a_progress_line_after_half_a_million_acks_stalls_no_send() -> None:
    tally = filled([n % 30_000 for n in range(500_000)])
    begin_seconds = process_time()
    for _ in range(10):
        tally.progress()
    assert (process_time() - begin_seconds) / 10 < 0.005
