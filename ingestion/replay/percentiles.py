"""Percentiles by nearest rank on raw samples: always a value that was measured, never a mean of two."""

import math
from collections.abc import Sequence
from fractions import Fraction


def nearest_rank[T](ordered: Sequence[T], *, percent: Fraction) -> T:
    """Smallest sample with at least `percent` of all samples at or below it. `ordered` must be sorted, not empty."""
    rank = max(1, math.ceil(percent / 100 * len(ordered)))  # exact: 0.95 * 20 in floats is not always 19
    return ordered[rank - 1]


def samples_needed(percent: Fraction) -> int:
    """How many samples a percentile needs before it says anything: ten beyond it. 200 for P95, 10,000 for P99.9."""
    return math.ceil(10 / (1 - percent / 100))


P50, P90, P95, P99, P999 = Fraction(50), Fraction(90), Fraction(95), Fraction(99), Fraction(999, 10)
