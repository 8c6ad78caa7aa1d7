"""How long a lane rests after trouble: capped exponential back-off with full jitter. Pure.

`bench.retry_storm` puts the same policy through an outage of ten minutes.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

DOUBLINGS_AT_MOST = 16  # a lane may fail for days: its limit stays a number


@dataclass(frozen=True, slots=True, kw_only=True)
class BackOff:
    """The limit of a rest doubles with each attempt, up to `at_most`."""

    at_first: timedelta = timedelta(milliseconds=500)
    at_most: timedelta = timedelta(seconds=20)

    def limit(self, *, failed_before_count: int) -> timedelta:
        doubled = self.at_first * (1 << min(failed_before_count, DOUBLINGS_AT_MOST))
        return min(doubled, self.at_most)

    def rest(self, *, failed_before_count: int, share: float) -> timedelta:
        """`share` of the limit, which a caller draws evenly from [0, 1): lanes that fell together return apart."""
        return self.limit(failed_before_count=failed_before_count) * share
