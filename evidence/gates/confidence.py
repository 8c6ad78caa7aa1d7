"""Whether a threshold holds with 95% confidence, not only in this sample: exact binomial (Clopper and Pearson). Pure.

"At most a share p of events is bad" is claimed of the service when, were the share p or more, as few bad ones as were
seen would come up in fewer than 5% of such runs.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

ALPHA = 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class Confidence:
    """`limit_count`: how many bad ones of `count` there may be for the claim; None where even none are too many."""

    bad_count: int
    count: int
    limit_count: int | None

    @property
    def holds(self) -> bool:
        return self.limit_count is not None and self.bad_count <= self.limit_count

    @property
    def sentence(self) -> str:
        allowed = "none allowed" if self.limit_count is None else f"{self.limit_count:,} allowed"
        held = "holds" if self.holds else "does not hold"
        return f"{held}: {self.bad_count:,} of {self.count:,} bad, {allowed}"


def confidence(bad_count: int, *, count: int, share: float) -> Confidence:
    """Of the claim that the share of bad ones is below `share`. Raises ValueError for counts that no run has."""
    if not 0 <= bad_count <= count or not 0 < share < 1:
        raise ValueError(f"{bad_count} of {count} at a share of {share}: no counts of a run")
    return Confidence(bad_count=bad_count, count=count, limit_count=limit_count(count, share=share))


def limit_count(count: int, *, share: float) -> int | None:
    """The largest number of bad ones of which P(that many or fewer | share) is under 5%."""
    below, limit = 0.0, None
    for bad_count in range(count + 1):
        below += math.exp(_log_probability(bad_count, count, share))
        if below >= ALPHA:
            break
        limit = bad_count
    return limit


def _log_probability(bad_count: int, count: int, share: float) -> float:
    choose = math.lgamma(count + 1) - math.lgamma(bad_count + 1) - math.lgamma(count - bad_count + 1)
    return choose + bad_count * math.log(share) + (count - bad_count) * math.log1p(-share)
