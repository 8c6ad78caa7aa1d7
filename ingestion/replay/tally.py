"""What a running load counts: for the progress line, and for the generator's judgement of itself."""

import math
from bisect import bisect_left
from collections import Counter
from itertools import accumulate
from time import process_time
from typing import Final

from ingestion.replay.history import NS_PER_MS
from ingestion.replay.percentiles import P50, P95, P99, nearest_rank

STALL_NS: Final = 20 * NS_PER_MS
LATENCY_STEP_US: Final = 100  # counted, not kept: sorting every ack four times a second stalls the loop of a long run


class Tally:
    """Counters of one run. Public, since the load adds to them on the hot path."""

    __slots__ = (
        "_cpu_before_seconds",
        "_latency_counts",
        "_stall_count",
        "_stall_max_ns",
        "acked_count",
        "own_delays_ns",
        "planned_count",
        "refused_count",
        "retried_count",
        "sent_count",
        "waited_count",
    )

    def __init__(self, *, planned_count: int) -> None:
        self.planned_count = planned_count
        self.sent_count = 0  # sends with a first attempt
        self.acked_count = 0
        self.refused_count = 0  # given up without a 2xx
        self.retried_count = 0
        self.waited_count = 0  # due while no connection was free
        self._latency_counts: Counter[int] = Counter()
        self.own_delays_ns: list[int] = []  # from the intended moment until the load took the send up
        self._stall_count = self._stall_max_ns = 0
        self._cpu_before_seconds = process_time()

    def woke(self, *, late_ns: int) -> None:
        """The event loop came back to a timer so much later than it was meant to."""
        self._stall_max_ns = max(self._stall_max_ns, late_ns)
        if late_ns > STALL_NS:
            self._stall_count += 1

    def progress(self) -> dict[str, object]:
        """The fields of `run.Progress`."""
        p50_us, p95_us, p99_us = self._percentiles_us()
        return {
            "planned": self.planned_count,
            "sent": self.sent_count,
            "acked": self.acked_count,
            "rejected": self.refused_count,
            "retried": self.retried_count,
            "p50_us": p50_us,
            "p95_us": p95_us,
            "p99_us": p99_us,
        }

    def self_check(self, *, was_interrupted: bool) -> dict[str, object]:
        """The fields of `history.SelfCheck`."""
        delays_ns = sorted(self.own_delays_ns) or [0]
        return {
            "own_delay_p99_ms": nearest_rank(delays_ns, percent=P99) / NS_PER_MS,
            "own_delay_max_ms": delays_ns[-1] / NS_PER_MS,
            "sent_count": self.sent_count,
            "waited_count": self.waited_count,
            "stall_count": self._stall_count,
            "stall_max_ms": self._stall_max_ns / NS_PER_MS,
            "cpu_seconds": process_time() - self._cpu_before_seconds,
            "was_interrupted": was_interrupted,
        }

    def acked(self, *, latency_us: int) -> None:
        """A first attempt was answered 2xx."""
        self._latency_counts[latency_us // LATENCY_STEP_US] += 1

    def _percentiles_us(self) -> list[int | None]:
        """P50, P95 and P99 so far, to 0.1 ms."""
        steps = sorted(self._latency_counts)
        reached = list(accumulate(self._latency_counts[step] for step in steps))
        if not reached:
            return [None, None, None]
        ranks = [max(1, math.ceil(percent / 100 * reached[-1])) for percent in (P50, P95, P99)]
        return [steps[bisect_left(reached, rank)] * LATENCY_STEP_US for rank in ranks]
