"""Empties a lane: lease, read, commit, trim, again, until it is empty or the turn is over.

Safe to run twice, or twice at once.
"""

from __future__ import annotations

import logging
import random
import secrets
import threading
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from functools import partial

from django.db import Error

from autocom.kernel.clock import Clock
from autocom.kernel.ids import request_id_of
from autocom.kernel.request_context import PERSONAL_TEXTS, REQUEST_ID
from ingestion.accept import promise_keys
from ingestion.back_off import BackOff
from ingestion.buffer.append import LaneEntry
from ingestion.buffer.keys import DRAIN_QUEUE
from ingestion.buffer.store import Claim, LaneBuffer
from ingestion.commit import BatchContext, LanePaused, Settled, StaleFence, settle
from ingestion.committed import tell_of_commit
from ingestion.latency import LatencyRecorder, Stage
from ingestion.models import Lane
from ingestion.personal_texts import long_enough, texts_of_payload
from ingestion.providers.registry import personal_paths
from ingestion.riding import Riding, read_riding

STOP = threading.Event()  # set by SIGTERM: a drain ends after the batch in hand

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class DrainPolicy:
    """How a drain shares its worker with other lanes, and how it rests after trouble."""

    batch_limit_count: int = 500
    gather_count: int = 200  # fewer waiting entries than this are given `gather` to become more, between two batches
    gather: timedelta = timedelta(milliseconds=100)
    linger: timedelta = timedelta(milliseconds=500)  # an empty lane is kept this long while no other lane waits
    turn: timedelta = timedelta(milliseconds=250)  # after this a lane yields to others that wait
    budget: timedelta = timedelta(seconds=20)  # after this it yields in any case, far below RQ's job timeout
    back_off: BackOff = field(default_factory=BackOff)


@dataclass(slots=True)
class DrainReport:
    lane: int
    outcome: str = "held_by_another"
    batch_count: int = 0
    settled: Settled = field(default_factory=Settled)  # counts alone: a turn under load has tens of thousands of rows

    def add(self, settled: Settled) -> None:
        self.batch_count += 1
        self.settled.add(replace(settled, stored=[]))


@dataclass(frozen=True, slots=True, kw_only=True)
class Drainer:
    """Everything a drain works with."""

    buffer: LaneBuffer
    recorder: LatencyRecorder
    clock: Clock
    worker: str
    policy: DrainPolicy = DrainPolicy()

    def drain(self, lane: int, *, job_id: str) -> DrainReport:
        """Raises BufferUnavailable when Redis cannot be asked; database trouble makes the lane rest instead."""
        report = DrainReport(lane=lane)
        claim = self.buffer.claim(
            lane, token=secrets.token_hex(8).encode() + b"@" + self.worker.encode(), fence_floor=0
        )
        if claim is None:
            return report
        try:
            claim = self._above_known_fence(claim)
            self._work(claim, report, job_id=job_id)
        except LanePaused:
            report.outcome = "paused"
            self.buffer.park(claim)
        except StaleFence as error:
            report.outcome = "stale_fence"
            log.warning("drain_refused", extra={"lane": lane, "error": str(error)})
        except Error as error:
            self._rest(claim, report, error=error)
        return report

    def _above_known_fence(self, claim: Claim) -> Claim:
        """After a Redis failover its fence may be behind PostgreSQL's: raise it, or every drain would be refused.

        Raises LanePaused.
        """
        row = Lane.objects.filter(number=claim.lane).first()
        if row is not None and row.paused_at is not None:  # before anything is read: the commit would refuse it anyway
            raise LanePaused(f"lane {claim.lane} is paused")
        if row is None or row.epoch != claim.epoch or row.fence < claim.fence:
            return claim
        return self.buffer.claim(claim.lane, token=claim.token, fence_floor=row.fence) or claim

    def _work(self, claim: Claim, report: DrainReport, *, job_id: str) -> None:
        started_ns = self.clock.monotonic_ns()
        last_work_ns = started_ns
        while True:
            entries = self.buffer.read_claimed(claim, limit_count=self.policy.batch_limit_count)
            if entries is None:  # Redis lost its data under this lease: what came since is for a lease of its own
                self._hand_back(claim)
                report.outcome = "lease_lost"
                return
            left_count = 0
            if entries:
                left = self._settle_and_trim(claim, entries, report, job_id=job_id)
                if left is None:
                    report.outcome = "lease_lost"
                    return
                left_count = left
                last_work_ns = self.clock.monotonic_ns()
            elif not self._may_linger(last_work_ns) and self.buffer.release(claim):
                report.outcome = "emptied"
                return
            if self._turn_is_over(started_ns):
                self._hand_back(claim)
                report.outcome = "handed_back"
                return
            if left_count < self.policy.gather_count:
                # a batch costs nearly the same for one event as for twenty, and its CPU is missing where acks are made
                STOP.wait(self.policy.gather.total_seconds())

    def _hand_back(self, claim: Claim) -> None:
        self.buffer.hand_back(claim, job_id=f"drain-{claim.lane}-{secrets.token_hex(8)}".encode())

    def _may_linger(self, last_work_ns: int) -> bool:
        if STOP.is_set() or self.clock.monotonic_ns() - last_work_ns > _ns(self.policy.linger):
            return False
        return self.buffer.waiting_jobs_count(DRAIN_QUEUE) == 0

    def _turn_is_over(self, started_ns: int) -> bool:
        held_ns = self.clock.monotonic_ns() - started_ns
        if STOP.is_set() or held_ns > _ns(self.policy.budget):
            return True
        return held_ns > _ns(self.policy.turn) and self.buffer.waiting_jobs_count(DRAIN_QUEUE) > 0

    def _settle_and_trim(
        self, claim: Claim, entries: Sequence[LaneEntry], report: DrainReport, *, job_id: str
    ) -> int | None:
        """How many entries wait behind these. None when the lease was lost: another drainer has the lane now."""
        claimed_us = self.clock.now_us()
        REQUEST_ID.set(request_id_of(read_riding(entries[0], lane=claim.lane, epoch=claim.epoch).event_id))
        PERSONAL_TEXTS.set(partial(_personal_texts, entries, lane=claim.lane, epoch=claim.epoch))
        context = BatchContext(
            claim=claim, worker=self.worker, claimed_us=claimed_us, hop_key=promise_keys().hop, clock=self.clock
        )
        settled = settle(entries, context=context)
        committed_us = self.clock.now_us()
        left = self.buffer.trim(
            claim, through_sequence=entries[-1].sequence, freed_bytes=sum(entry.size_bytes for entry in entries)
        )
        report.add(settled)
        self._measure(settled, claimed_us=claimed_us, committed_us=committed_us)
        tell_of_commit(
            settled.stored,
            batch=settled.batch_numbers[-1] if settled.batch_numbers else 0,
            worker=self.worker,
            claimed_us=claimed_us,
            committed_us=committed_us,
            sender_traces=settled.sender_traces,
        )
        log.info(
            "batch_committed",
            extra={
                "lane": claim.lane,
                "batches": settled.batch_numbers,
                "first_sequence": entries[0].sequence,
                "last_sequence": entries[-1].sequence,
                "events": len(settled.stored),
                "duplicates": settled.duplicate_count,
                "quarantined": settled.quarantined_count,
                "dead": settled.dead_count,
                "retries_stored": sum(riding.ticket is not None for riding in settled.stored),
                "repeated": settled.repeated_count,
                "commit_ms": (committed_us - claimed_us) / 1_000,
                "left": left,
                "job_id": job_id,
            },
        )
        return left

    def _measure(self, settled: Settled, *, claimed_us: int, committed_us: int) -> None:
        for (provider, fate), count in settled.set_aside.items():
            self.recorder.record_set_aside(provider, fate, count)
        by_provider: dict[str, list[Riding]] = defaultdict(list)
        for riding in settled.stored:
            if riding.ticket is None:  # a retry's clock would start at the first receipt, days ago
                by_provider[riding.provider].append(riding)
        for provider, stored in by_provider.items():
            record = partial(self.recorder.record_many, provider=provider)
            record(Stage.QUEUE, durations_us=Counter(claimed_us - riding.accepted_us for riding in stored))
            record(Stage.COMMIT, durations_us={committed_us - claimed_us: len(stored)})
            record(Stage.END_TO_END, durations_us=Counter(committed_us - riding.received_us for riding in stored))

    def _rest(self, claim: Claim, report: DrainReport, *, error: Exception) -> None:
        """The lane is given up until its next attempt. Not where somebody else has claimed it meanwhile."""
        rest = self.policy.back_off.rest(
            failed_before_count=self.buffer.attempts(claim.lane),
            share=random.random(),  # noqa: S311  (spreads load, guards nothing)
        )
        attempt = self.buffer.back_off(
            claim, rest=rest, next_attempt_us=self.clock.now_us() + _us(rest), error=f"{type(error).__name__}: {error}"
        )
        report.outcome = "lease_lost" if attempt is None else "resting"
        log.warning(
            "lane_resting",
            extra={"lane": claim.lane, "attempt": attempt, "rest_ms": _us(rest) / 1_000, "error": str(error)},
        )


def _personal_texts(entries: Sequence[LaneEntry], *, lane: int, epoch: int) -> Iterator[str]:
    """Of all events of a batch, with what their senders chose as ids and keys, which may be addresses."""
    for entry in entries:
        riding = read_riding(entry, lane=lane, epoch=epoch)
        yield from long_enough([riding.message_id, riding.ordering_key])
        yield from texts_of_payload(riding.payload, paths=personal_paths(riding.recipe))


def _us(span: timedelta) -> int:
    return span // timedelta(microseconds=1)


def _ns(span: timedelta) -> int:
    return _us(span) * 1_000
