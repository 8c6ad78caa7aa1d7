"""Slope and verdict of a series. Pure.

The first third of a run is warm-up and not judged: caches, pools and allocators fill. Over the rest (`judged`) the
slope is Theil and Sen's, the median of the slopes of all pairs of samples, which single peaks do not move; the growth
is the slope times the judged time. A series is flat while it grows by no more than its rule allows, the larger of a
share of its median and a fixed amount; one that falls is flat. A growth below that is not seen: `unseen_per_hour` says
how much that is in this run, and a longer run sees less of it.

Series that grow by nature are told their expected slope. They are as expected while they grow no faster than that and a
tolerance; growing slower is no fault.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import combinations

WARM_UP_SHARE = 1 / 3
JUDGED_SECONDS_AT_LEAST = 100.0  # two thirds of 150 s
JUDGED_SAMPLES_AT_LEAST = 16
NATURE_TOLERANCE = 0.10
SECONDS_PER_HOUR = 3_600

type Points = Sequence[tuple[float, float]]  # seconds since the load began, value


class Verdict(StrEnum):
    FLAT = "flat"
    GROWS = "GROWS"
    AS_EXPECTED = "as expected"
    TOO_SHORT = "too short"


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """How much a flat series may grow over the judged time: the larger of the two."""

    share: float
    amount: float

    def allowed(self, median: float) -> float:
        return max(self.share * abs(median), self.amount)


@dataclass(frozen=True, slots=True, kw_only=True)
class Nature:
    """Why a series grows, how fast it should, and what ends it."""

    expected_per_hour: float
    amount: float  # growth over the judged time that is noise
    why: str
    bound: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Trend:
    first: float
    last: float
    median: float
    per_hour: float
    growth: float
    allowed: float
    judged_seconds: float
    verdict: Verdict

    @property
    def unseen_per_hour(self) -> float:
        """A slope that this run would have called flat."""
        return self.allowed / self.judged_seconds * SECONDS_PER_HOUR if self.judged_seconds else float("inf")


def trend_of(points: Points, *, rule: Rule | Nature) -> Trend:
    """Needs one point at least."""
    judged = _judged(points)
    judged_seconds = judged[-1][0] - judged[0][0]
    median = statistics.median(value for _, value in judged)
    slope = theil_sen(judged)
    allowed = _allowed(rule, median=median, judged_seconds=judged_seconds)
    growth = slope * judged_seconds
    return Trend(
        first=points[0][1],
        last=points[-1][1],
        median=median,
        per_hour=slope * SECONDS_PER_HOUR,
        growth=growth,
        allowed=allowed,
        judged_seconds=judged_seconds,
        verdict=_verdict(rule, growth=growth, allowed=allowed, judged=judged),
    )


def theil_sen(points: Points) -> float:
    """Per second; 0 of fewer than two moments."""
    slopes = [(b - a) / (until - since) for (since, a), (until, b) in combinations(points, 2) if until > since]
    return statistics.median(slopes) if slopes else 0.0


def _judged(points: Points) -> Points:
    begin = points[0][0] + (points[-1][0] - points[0][0]) * WARM_UP_SHARE
    return [point for point in points if point[0] >= begin]


def _allowed(rule: Rule | Nature, *, median: float, judged_seconds: float) -> float:
    if isinstance(rule, Rule):
        return rule.allowed(median)
    return rule.expected_per_hour / SECONDS_PER_HOUR * judged_seconds * (1 + NATURE_TOLERANCE) + rule.amount


def _verdict(rule: Rule | Nature, *, growth: float, allowed: float, judged: Points) -> Verdict:
    if len(judged) < JUDGED_SAMPLES_AT_LEAST or judged[-1][0] - judged[0][0] < JUDGED_SECONDS_AT_LEAST:
        return Verdict.TOO_SHORT
    if growth > allowed:
        return Verdict.GROWS
    return Verdict.FLAT if isinstance(rule, Rule) else Verdict.AS_EXPECTED
