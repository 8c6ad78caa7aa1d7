"""When a sender tries again: as a provider would, with capped exponential back-off and full jitter."""

import random
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Backoff:
    """`retries` attempts after the first; the n-th waits up to `base_seconds` * 2 ** (n - 1), at most `cap_seconds`."""

    retries: int
    base_seconds: float = 0.25
    cap_seconds: float = 8.0

    def delay_seconds(self, *, attempt: int, retry_after_seconds: float, rng: random.Random) -> float | None:
        """How long to wait after this attempt failed; None when it was the last one. Never below Retry-After."""
        if attempt > self.retries:
            return None
        jittered = rng.random() * min(self.cap_seconds, self.base_seconds * 2.0 ** (attempt - 1))
        return retry_after_seconds + jittered


def is_success(status: int, *, success_status: int) -> bool:
    """Whether the sender takes this status for a yes; `success_status` 0 stands for any 2xx."""
    return status == success_status if success_status else 200 <= status < 300


def is_worth_another_try(status: int, *, busy_status: int = 0) -> bool:
    """True where the sender cannot know that the answer is final: told to slow down, or the server had trouble.

    With a provider's own `busy_status` only that, and every 5xx where that is one too, brings the delivery again; and a
    2xx, since it is asked for one that was no success to this provider.
    """
    if not busy_status:
        return status == 429 or status >= 500
    return status == busy_status or (busy_status >= 500 and status >= 500) or 200 <= status < 300
