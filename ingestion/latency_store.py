"""Histograms into PostgreSQL, insert-only, and the running totals for Prometheus into Redis, from the same flush."""

from __future__ import annotations

import base64
import logging
from collections.abc import Iterator, Mapping

import redis
from django.db import Error, transaction
from hdrh.histogram import HdrHistogram

from ingestion.buffer import keys
from ingestion.latency import EDGES_US, LatencyRecorder, StageCounts, Taken, new_histogram, without_cycle
from ingestion.latency_distribution import Distribution
from ingestion.models import AckOutcome, FlushMark, LatencyFlush, RefusalCount

log = logging.getLogger(__name__)


class LatencyFlusher:
    """Writes what a recorder took.

    A flush that failed is repeated as it was, under its number, before anything newer.
    """

    def __init__(self, recorder: LatencyRecorder, *, client: redis.Redis) -> None:
        self._recorder = recorder
        self._client = client
        self._frozen: Taken | None = None

    def flush(self) -> bool:
        """True when everything measured so far is stored.

        False when PostgreSQL could not be asked: it is kept for the next time.
        """
        taken = self._frozen or self._recorder.take()
        if taken.is_empty:
            return True
        self._frozen = taken
        try:
            store(taken, process=self._recorder.process)
        except Error as error:
            log.warning("latency_flush_failed", extra={"error": str(error)})
            return False
        self._frozen = None
        try:
            add_totals(taken, client=self._client)
        except redis.RedisError as error:
            # Prometheus misses a second; the ledger's rows are complete
            log.warning("metrics_totals_failed", extra={"error": str(error)})
        return True


def store(taken: Taken, *, process: str) -> None:
    """Inserts the rows, unless the flush is there already, as itself or in a roll-up. Raises django.db.Error."""
    with transaction.atomic():
        LatencyFlush.objects.bulk_create(
            [
                LatencyFlush(
                    minute=minute,
                    stage=stage,
                    provider=provider,
                    process=process,
                    flush_number=taken.flush_number,
                    count=counts.count,
                    within_slo_count=counts.within_slo_count,
                    sum_us=counts.sum_us,
                    max_us=counts.max_us,
                    clamped_count=counts.clamped_count,
                    histogram=encoded(counts.histogram),
                )
                for (minute, stage, provider), counts in taken.stages.items()
            ],
            ignore_conflicts=True,
        )
        AckOutcome.objects.bulk_create(
            [
                AckOutcome(
                    minute=minute,
                    provider=provider,
                    code=code,
                    process=process,
                    flush_number=taken.flush_number,
                    count=count,
                )
                for (minute, provider, code), count in taken.outcomes.items()
            ],
            ignore_conflicts=True,
        )
        RefusalCount.objects.bulk_create(
            [
                RefusalCount(
                    minute=minute,
                    provider=provider,
                    reason=reason,
                    process=process,
                    flush_number=taken.flush_number,
                    count=count,
                )
                for (minute, provider, reason), count in taken.refusals.items()
            ],
            ignore_conflicts=True,
        )
        # asked last: an insert may have waited for a roll-up that was removing the same rows
        if FlushMark.objects.filter(process=process, flush_number__gte=taken.flush_number).exists():
            transaction.set_rollback(True)


def encoded(histogram: HdrHistogram) -> bytes:
    """HdrHistogram V2, compressed: the bytes that Java and C read too."""
    return base64.b64decode(histogram.encode())


def merge_encoded(target: HdrHistogram, blob: bytes | memoryview) -> None:
    target.add(without_cycle(HdrHistogram.decode(base64.b64encode(bytes(blob)))))


def merged(blobs: Iterator[bytes]) -> HdrHistogram:
    total = new_histogram()
    for blob in blobs:
        merge_encoded(total, blob)
    return total


def counts_by_edge(
    counts_histogram: HdrHistogram, *, within_slo_count: int, edges_us: tuple[int, ...] = EDGES_US
) -> list[int]:
    """How many values are in each bucket that ends at an edge (the last: above all edges).

    At 120 ms the exact counter decides.
    """
    return Distribution.of(counts_histogram).between(edges_us, within_slo_count=within_slo_count)


def add_totals(taken: Taken, *, client: redis.Redis) -> None:
    """Adds the flush to the running totals, in one transaction."""
    with client.pipeline(transaction=True) as pipe:
        for (_, stage, provider), counts in taken.stages.items():
            for field, amount in _total_fields(counts):
                pipe.hincrby(keys.METRICS.decode(), f"latency|{stage}|{provider}|{field}", amount)
        for (_, provider, code), count in (+taken.outcomes).items():  # without notes that count nothing
            pipe.hincrby(keys.METRICS.decode(), f"outcome|{provider}|{code}", count)
        for (_, provider, reason), count in taken.refusals.items():
            pipe.hincrby(keys.METRICS.decode(), f"refusal|{provider}|{reason}", count)
        for (provider, fate), count in taken.set_aside.items():
            pipe.hincrby(keys.METRICS.decode(), f"set_aside|{provider}|{fate}", count)
        pipe.execute()


def add_aged(removed: Mapping[str, int], *, client: redis.Redis) -> None:
    """Adds the rows that retention removed, by kind, to the running totals. Raises redis.RedisError."""
    for kind, count in removed.items():
        client.hincrby(keys.METRICS.decode(), f"aged|{kind}", count)


def _total_fields(counts: StageCounts) -> Iterator[tuple[str, int]]:
    for edge_us, count in zip((*EDGES_US, "inf"), counts.bucket_counts, strict=True):
        if count:
            yield f"le|{edge_us}", count
    yield "sum_us", counts.sum_us
    yield "count", counts.count
