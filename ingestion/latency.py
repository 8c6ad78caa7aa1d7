"""How long each stage took: one HdrHistogram a stage, provider and minute in each process, flushed about every second.

Stages: `ack` (first byte at the ingress to the answer), `queue` (on the lane to claimed), `commit` (claimed to
committed), `end_to_end` (first byte to
committed). Percentiles are read by merging histograms, never by averaging percentiles.
"""

from __future__ import annotations

import math
import os
import socket
import threading
import time
import weakref
from bisect import bisect_left
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from typing import cast

from hdrh.histogram import HdrHistogram

LOWEST_US = 1
HIGHEST_US = 60_000_000
DIGITS = 3
ALIVE = "alive"  # among the codes of answers, counted zero times
SLO_US = (
    120_000  # an ack at or under this is good; counted exactly, as 120,000 shares a bucket with values up to 120,063
)

EDGES_US = (
    *(1_000, 2_000, 5_000, 10_000, 20_000, 50_000, 100_000, SLO_US, 200_000, 500_000),
    *(1_000_000, 2_000_000, 5_000_000, 10_000_000, 30_000_000, 60_000_000),
)  # Prometheus buckets; a value on an edge belongs below it


class Stage(StrEnum):
    ACK = "ack"
    QUEUE = "queue"
    COMMIT = "commit"
    END_TO_END = "end_to_end"


def new_histogram() -> HdrHistogram:
    return without_cycle(HdrHistogram(LOWEST_US, HIGHEST_US, DIGITS))


def without_cycle(histogram: HdrHistogram) -> HdrHistogram:
    """Freed as soon as nobody has it.

    The library's histogram and its encoder hold each other, so each one, 140 kB a second and stage, would wait for the
    collector, which runs seldom here and counts objects, not their size: hundreds of megabytes between two runs.
    """
    histogram.encoder.histogram = weakref.proxy(histogram)
    return histogram


def nearest_rank_us(histogram: HdrHistogram, *, share: float) -> int:
    """The smallest recorded value with at least this share of all at or below it, within the histogram's error.

    The library's own percentile takes the nearest rank instead, which may be the one below: too good a figure.
    """
    count = histogram.total_count
    rank = max(math.ceil(round(share * count, 6)), 1)
    return cast("int", histogram.get_value_at_percentile(100 * rank / count))


@dataclass(slots=True)
class StageCounts:
    """One stage's durations of one minute."""

    histogram: HdrHistogram = field(default_factory=new_histogram)
    within_slo_count: int = 0
    sum_us: int = 0
    max_us: int = 0
    clamped_count: int = 0
    bucket_counts: list[int] = field(default_factory=lambda: [0] * (len(EDGES_US) + 1))  # the last is above all edges

    def add(self, duration_us: int, count: int = 1) -> None:
        value = max(duration_us, LOWEST_US)
        if value > HIGHEST_US:  # record_value would say False and forget it
            self.clamped_count += count
            value = HIGHEST_US
        self.histogram.record_value(value, count)
        if duration_us <= SLO_US:
            self.within_slo_count += count
        self.bucket_counts[bisect_left(EDGES_US, duration_us)] += count
        self.sum_us += duration_us * count
        self.max_us = max(self.max_us, duration_us)

    @property
    def count(self) -> int:
        return cast("int", self.histogram.total_count)


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    """What a process measured since the last flush."""

    flush_number: int
    stages: dict[tuple[datetime, str, str], StageCounts]  # minute, stage, provider
    outcomes: Counter[tuple[datetime, str, str]]  # minute, provider, code
    refusals: Counter[tuple[datetime, str, str]] = field(default_factory=Counter)  # minute, provider, reason
    set_aside: Counter[tuple[str, str]] = field(default_factory=Counter)  # provider, fate

    @property
    def is_empty(self) -> bool:
        return not (self.stages or self.outcomes or self.refusals or self.set_aside)


class LatencyRecorder:
    """Collects durations and outcomes of one process. Safe over threads; the lock is held for a microsecond."""

    def __init__(self, *, process: str) -> None:
        self.process = process
        self._lock = threading.Lock()
        self._stages: dict[tuple[datetime, str, str], StageCounts] = {}
        self._outcomes: Counter[tuple[datetime, str, str]] = Counter()
        self._refusals: Counter[tuple[datetime, str, str]] = Counter()
        self._set_aside: Counter[tuple[str, str]] = Counter()
        self._flush_number = 0

    def record(self, stage: Stage, provider: str, duration_us: int) -> None:
        with self._lock:
            self._counts(stage, provider).add(duration_us)

    def record_many(self, stage: Stage, provider: str, durations_us: Mapping[int, int]) -> None:
        """Durations with how often each occurred: a batch's events share most of them."""
        with self._lock:
            counts = self._counts(stage, provider)
            for duration_us, count in durations_us.items():
                counts.add(duration_us, count)

    def _counts(self, stage: Stage, provider: str) -> StageCounts:
        key = (_minute(), stage.value, provider)
        counts = self._stages.get(key)
        if counts is None:
            counts = self._stages[key] = StageCounts()
        return counts

    def record_outcome(self, provider: str, code: str) -> None:
        with self._lock:
            self._outcomes[_minute(), provider, code] += 1

    def note_alive(self) -> None:
        """This process could have answered in this minute: a minute without any such note is one nobody measured."""
        with self._lock:
            self._outcomes[_minute(), "", ALIVE] += 0

    def record_refusal(self, provider: str, reason: str) -> None:
        """A delivery that was not believed."""
        with self._lock:
            self._refusals[_minute(), provider, reason] += 1

    def record_set_aside(self, provider: str, fate: str, count: int) -> None:
        """Events that were settled without becoming events, and how retries of such ended."""
        with self._lock:
            self._set_aside[provider, fate] += count

    def take(self) -> Taken:
        """Everything since the last take, which is then forgotten here."""
        with self._lock:
            self._flush_number += 1
            taken = Taken(
                flush_number=self._flush_number,
                stages=self._stages,
                outcomes=self._outcomes,
                refusals=self._refusals,
                set_aside=self._set_aside,
            )
            self._stages, self._outcomes = {}, Counter()
            self._refusals, self._set_aside = Counter(), Counter()
        return taken


_minute_cache: tuple[int, datetime] = (0, datetime.fromtimestamp(0, UTC))


def _minute() -> datetime:
    global _minute_cache
    number = int(time.time() // 60)
    if _minute_cache[0] != number:
        _minute_cache = (number, datetime.fromtimestamp(number * 60, UTC))
    return _minute_cache[1]


def process_name(role: str) -> str:
    """Unique over machines and restarts, so that flush numbers of two lives never meet."""
    return f"{role}-{socket.gethostname()[:24]}-{os.getpid()}-{int(time.time())}"


RECORDER = LatencyRecorder(process=process_name("unnamed"))
