"""The exact binomial bound: against published figures and against sums of whole numbers."""

from __future__ import annotations

from fractions import Fraction
from math import comb

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evidence.bundles import verify
from evidence.gates.confidence import confidence, limit_count


def tail(limit: int, count: int, share: Fraction) -> Fraction:
    """P(at most `limit` of `count`), without rounding."""
    return sum((comb(count, bad) * share**bad * (1 - share) ** (count - bad) for bad in range(limit + 1)), Fraction(0))


@pytest.mark.parametrize(("count", "share", "limit"), [(30_000, 0.001, 20), (30_000, 0.05, 1_437), (58, 0.05, None)])
def test_the_limits_of_gate_a_are_those_of_the_reference(count: int, share: float, limit: int | None) -> None:
    assert limit_count(count, share=share) == limit


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 400), st.sampled_from([1, 5, 10, 50, 200]))
def test_the_limit_is_the_largest_number_with_a_tail_under_5_percent(count: int, per_mille: int) -> None:
    share, limit = Fraction(per_mille, 1_000), limit_count(count, share=per_mille / 1_000)
    largest = -1 if limit is None else limit
    assert largest < 0 or tail(largest, count, share) < Fraction(1, 20)
    assert largest == count or tail(largest + 1, count, share) >= Fraction(1, 20)
    assert verify.limit_count(count, per_mille / 1_000) == limit


@pytest.mark.parametrize(("bad", "count", "share"), [(-1, 5, 0.1), (6, 5, 0.1), (1, 5, 0.0), (1, 5, 1.0)])
def test_counts_that_no_run_has_are_refused(bad: int, count: int, share: float) -> None:
    with pytest.raises(ValueError, match="no counts of a run"):
        confidence(bad, count=count, share=share)
