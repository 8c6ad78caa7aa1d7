"""When a sender that is refused for load should come back."""

from __future__ import annotations

import random

UNKNOWN_SECONDS = 2.0  # where nothing is known of how long the trouble lasts
AT_MOST_SECONDS = 60.0
SPREAD_SHARE = 0.5  # of the wait: refused together, senders must not come back together
SPREAD_AT_LEAST_SECONDS = 2.0


def retry_after_seconds(wait_seconds: float = 0.0) -> int:
    """Whole seconds from 1 to 60, the wait at least where that leaves room to spread. 0: nothing is known."""
    least = min(wait_seconds or UNKNOWN_SECONDS, AT_MOST_SECONDS / (1 + SPREAD_SHARE))
    spread = max(least * SPREAD_SHARE, SPREAD_AT_LEAST_SECONDS)
    return max(round(least + spread * random.random()), 1)  # noqa: S311  (spreads load, guards nothing)
