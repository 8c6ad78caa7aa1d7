"""What a histogram of durations holds, ascending: percentiles and counts between edges without walking it each time.

Values are microseconds. A bucket counts as its highest value, which is less than 0.1 % above any value in it.
"""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from itertools import accumulate, compress, pairwise
from typing import Self

from hdrh.histogram import HdrHistogram

from ingestion.latency import SLO_US, new_histogram
from ingestion.replay.percentiles import samples_needed


@dataclass(frozen=True, slots=True)
class Distribution:
    values_us: Sequence[int]
    cumulative: Sequence[int]  # how many are at or below the value of the same place

    @classmethod
    def of(cls, histogram: HdrHistogram) -> Self:
        """Of the geometry that the service records by. Raises ValueError for another one."""
        counts = histogram.counts[:]
        if len(counts) != len(_highest_values_us()):
            raise ValueError(f"a histogram of {len(counts)} buckets is none that the service records")
        filled = [count for count in counts if count]
        return cls(tuple(compress(_highest_values_us(), counts)), tuple(accumulate(filled)))

    @property
    def count(self) -> int:
        return self.cumulative[-1] if self.cumulative else 0

    def percentile_us(self, percent: Fraction) -> int | None:
        """By nearest rank; None where there are too few values to tell: ten beyond it are needed."""
        if self.count < samples_needed(percent):
            return None
        rank = max(1, math.ceil(percent / 100 * self.count))
        return self.values_us[bisect_left(self.cumulative, rank)]

    def at_or_below(self, value_us: int) -> int:
        place = bisect_right(self.values_us, value_us)
        return self.cumulative[place - 1] if place else 0

    def between(self, edges_us: Sequence[int], *, within_slo_count: int | None) -> list[int]:
        """How many are in each bucket that ends at an edge; the last one: above all edges.

        At 120 ms the exact counter decides, where there is one.
        """
        below = [self.at_or_below(edge_us) for edge_us in edges_us]
        if within_slo_count is not None and SLO_US in edges_us:
            slo = edges_us.index(SLO_US)
            # the exact counter may be a hair beside its coarser neighbours, on either side
            below = [
                min(count, within_slo_count) if place < slo else max(count, within_slo_count)
                for place, count in enumerate(below)
            ]
        return [below[0], *(upper - lower for lower, upper in pairwise(below)), self.count - below[-1]]


@cache
def _highest_values_us() -> tuple[int, ...]:
    histogram = new_histogram()
    return tuple(
        histogram.get_highest_equivalent_value(histogram.get_value_from_index(place))
        for place in range(histogram.counts_len)
    )


def logarithmic_edges_us(*, steps_per_decade: int, decades_below: int = 3, decades_above: int = 3) -> tuple[int, ...]:
    """Equal steps on a logarithmic axis, outwards from 120 ms, which is an edge: no bucket lies on both sides of it."""
    steps = range(-decades_below * steps_per_decade, decades_above * steps_per_decade + 1)
    return tuple(round(SLO_US * 10 ** (step / steps_per_decade)) for step in steps)
