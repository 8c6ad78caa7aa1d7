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


def is_worth_another_try(status: int) -> bool:
    """True where the sender cannot know that the answer is final: told to slow down, or the server had trouble."""
    return status == 429 or status >= 500
