"""The request path's side: every refusal is counted, a few are left for a sample."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from autocom.kernel.clock import SYSTEM_CLOCK, Clock
from ingestion.latency import RECORDER, LatencyRecorder
from ingestion.provider_book import KnownProvider
from ingestion.providers.adapter import InboundDelivery, Refused

PENDING_LIMIT_COUNT = 4  # in a second and process, all providers together: each holds its body until it is looked at
BURST_COUNT = 3  # samples at once of one provider and reason
REFILL = timedelta(seconds=10)  # then one in this time


@dataclass(frozen=True, slots=True)
class Refusal:
    """A delivery that was not believed, with its body: for memory alone."""

    provider: KnownProvider
    delivery: InboundDelivery
    refused: Refused
    request_id: UUID


@dataclass(slots=True)
class _Allowance:
    """Samples that one provider and reason may still leave."""

    left_count: float
    at_ns: int

    def take(self, now_ns: int) -> bool:
        refilled = (now_ns - self.at_ns) / (REFILL / timedelta(microseconds=1) * 1_000)
        self.left_count, self.at_ns = min(self.left_count + refilled, BURST_COUNT), now_ns
        if self.left_count < 1:
            return False
        self.left_count -= 1
        return True


class RefusalRecorder:
    """Safe over threads. Holds an allowance for each provider that is configured and each reason, and no more."""

    def __init__(self, *, recorder: LatencyRecorder, clock: Clock = SYSTEM_CLOCK) -> None:
        self._recorder = recorder
        self._clock = clock
        self._lock = threading.Lock()
        self._allowances: dict[tuple[str, str], _Allowance] = {}
        self._pending: list[Refusal] = []

    def note(self, provider: KnownProvider, delivery: InboundDelivery, refused: Refused, *, request_id: UUID) -> None:
        """Counted, whatever comes; kept for a sample where the allowances let it."""
        self._recorder.record_refusal(provider.name, refused.reason.value)
        with self._lock:
            if len(self._pending) < PENDING_LIMIT_COUNT and self._may_leave(provider.name, refused.reason.value):
                self._pending.append(Refusal(provider, delivery, refused, request_id))

    def _may_leave(self, provider: str, reason: str) -> bool:
        now_ns = self._clock.monotonic_ns()
        allowance = self._allowances.get((provider, reason))
        if allowance is None:
            allowance = self._allowances[provider, reason] = _Allowance(BURST_COUNT, now_ns)
        return allowance.take(now_ns)

    def take(self) -> Sequence[Refusal]:
        """What was left since the last call, which is then forgotten here."""
        with self._lock:
            taken, self._pending = self._pending, []
        return taken


REFUSALS = RefusalRecorder(recorder=RECORDER)
