"""Every read of ingestion for the console, the API and health.

A source that cannot be asked raises; nothing here says zero for unknown.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import redis
from django.conf import settings
from django.db.models import Q, QuerySet, Sum
from rq import Worker
from rq.utils import as_text
from rq.worker import BaseWorker

from autocom.kernel.clock import SYSTEM_CLOCK, datetime_of
from ingestion.autoscale.standing import Standing, standing_of
from ingestion.buffer.keys import BUILD_FIELD, DRAIN_QUEUE, OPS_QUEUE
from ingestion.buffer.store import BufferUnavailable, LanePeek, lane_buffer
from ingestion.latency import EDGES_US, Stage, nearest_rank_us
from ingestion.latency_merges import DAY_LONG, merged_before, merged_of
from ingestion.latency_store import counts_by_edge
from ingestion.models import HOUR, AckOutcome, Event, LatencyFlush, Provider, ProviderCertificate, WantedCertificate
from ingestion.providers.sns_envelope import MessageType

SAMPLES_PER_TAIL = 10  # a percentile needs this many samples beyond it to mean anything
_LANE_OF_JOB = re.compile(r"[a-z]+-(\d+)-")  # drain-3-…, sweep-3-…, wake-3-…
UNATTENDED_AFTER_MS = 15_000
STUCK_STATES = frozenset({"full", "unattended", "backing_off"})  # of a lane: a person should look
WORKER_SILENT_AT_MOST = timedelta(
    seconds=60
)  # a killed worker stays in RQ's list for longer; a working one speaks sooner


@dataclass(frozen=True, slots=True)
class StageLatency:
    """One stage over a range. A percentile is None where the sample is too small to show it."""

    stage: str
    count: int
    within_slo_count: int
    p50_ms: float | None
    p95_ms: float | None
    p99_ms: float | None
    p999_ms: float | None
    max_ms: float | None
    buckets: tuple[tuple[float, int], ...]  # upper edge in ms and count; 120.0 is an edge


@dataclass(frozen=True, slots=True)
class LaneState:
    lane: int
    depth_count: int
    oldest_age_ms: float | None
    holder: str
    state: str  # idle, draining, waiting, backing_off, full, unattended, paused
    size_bytes: int = 0
    attempt_count: int = 0  # failed attempts since the last commit; with one or more the next four are known
    resting_since: datetime | None = None
    next_attempt_at: datetime | None = None  # the sweeper or an append rings up to two seconds later
    last_error: str = ""
    paused_since: datetime | None = None  # a full lane may be paused too
    appended_count: int = 0  # ever, in this epoch
    lease_left_ms: int = 0  # of its holder

    @property
    def is_resting(self) -> bool:
        """The database refused its last attempt; a full lane may rest too."""
        return self.attempt_count > 0


@dataclass(frozen=True, slots=True)
class WorkerState:
    name: str
    queue: str
    state: str
    last_heartbeat: datetime | None
    build: str = ""  # of the code that it runs (`autocom.build`); empty where it did not say
    lane: int | None = None  # that it drains now
    done_count: int = 0


@dataclass(frozen=True, slots=True)
class QueueState:
    name: str
    waiting_count: int
    failed_count: int


def stage_latencies(*, since: datetime, until: datetime, provider: str | None = None) -> list[StageLatency]:
    """Merged from every process's minutes that overlap the range; never an average of percentiles.

    What is older than two days is kept by the hour (`roll_up`), so such a range begins and ends at full hours.
    """
    rows = LatencyFlush.objects.filter(overlapping(since=since), minute__lt=until)
    if provider is not None:
        rows = rows.filter(provider=provider)
    return [_stage_latency(stage, rows.filter(stage=stage), is_long=until - since > DAY_LONG / 4) for stage in Stage]


def overlapping(*, since: datetime) -> Q:
    """The condition on figures whose minute, or hour where they are rolled up so far, ends after the moment."""
    hours = Q(process=HOUR, minute__gt=since - timedelta(hours=1))
    return Q(minute__gt=since - timedelta(minutes=1)) | hours


def _stage_latency(stage: Stage, rows: QuerySet[LatencyFlush], *, is_long: bool) -> StageLatency:
    histogram, within_slo_count, max_us = (merged_before(rows) if is_long else None) or merged_of(rows)
    count = histogram.total_count

    def percentile_ms(share: float) -> float | None:
        if round(count * (1 - share), 6) < SAMPLES_PER_TAIL:
            return None
        return nearest_rank_us(histogram, share=share) / 1_000

    counts = counts_by_edge(histogram, within_slo_count=within_slo_count)
    edges_ms = (*(edge_us / 1_000 for edge_us in EDGES_US), float("inf"))
    return StageLatency(
        stage=stage.value,
        count=count,
        within_slo_count=within_slo_count,
        p50_ms=percentile_ms(0.50),
        p95_ms=percentile_ms(0.95),
        p99_ms=percentile_ms(0.99),
        p999_ms=percentile_ms(0.999),
        max_ms=max_us / 1_000 if count else None,
        buckets=tuple(zip(edges_ms, counts, strict=True)),
    )


def lane_states() -> list[LaneState]:
    """Raises BufferUnavailable."""
    return [lane_state(lane=lane) for lane in range(settings.AUTOCOM.lanes)]


def lane_state(*, lane: int) -> LaneState:
    """Raises BufferUnavailable."""
    return _lane_state(lane_buffer().peek(lane))


def is_full(peek: LanePeek) -> bool:
    """By entries or by bytes: new events get 503."""
    bounds = settings.AUTOCOM
    return peek.depth_count >= bounds.lane_bound_count or peek.size_bytes >= bounds.lane_bound_bytes


def _lane_state(peek: LanePeek) -> LaneState:
    age_ms = None
    if peek.oldest_accepted_us is not None:
        age_ms = max(SYSTEM_CLOCK.now_us() - peek.oldest_accepted_us, 0) / 1_000
    if is_full(peek):
        state = "full"
    elif peek.paused_us is not None:
        state = "paused"
    elif peek.attempt:
        state = "backing_off"
    elif peek.holder:
        state = "draining"
    elif not peek.depth_count:
        state = "idle"
    elif age_ms is not None and age_ms > UNATTENDED_AFTER_MS:
        state = "unattended"
    else:
        state = "waiting"
    return LaneState(
        lane=peek.lane,
        depth_count=peek.depth_count,
        oldest_age_ms=age_ms,
        holder=peek.holder.partition("@")[2],
        state=state,
        size_bytes=peek.size_bytes,
        attempt_count=peek.attempt,
        resting_since=_moment(peek.resting_since_us),
        next_attempt_at=_moment(peek.retry_at_us),
        last_error=peek.error_line,
        paused_since=_moment(peek.paused_us),
        appended_count=peek.sequence,
        lease_left_ms=peek.lease_ms,
    )


def _moment(us: int | None) -> datetime | None:
    return None if us is None else datetime_of(us=us)


def ingest_rate_per_second(*, last: timedelta) -> float | None:
    """Accepted POSTs a second.

    Counted by the minute, so a shorter range is read off the newest flushes. None when nobody has ever reported.
    """
    newest = AckOutcome.objects.order_by("-pk").values_list("minute", flat=True).first()
    if newest is None:
        return None
    since = datetime.now(UTC) - last
    rows = AckOutcome.objects.filter(flushed_at__gt=since, code="accepted")
    return (rows.aggregate(total=Sum("count"))["total"] or 0) / last.total_seconds()


def workers() -> Sequence[WorkerState]:
    """Everybody who reported lately. Raises BufferUnavailable."""
    try:
        found = Worker.all(connection=lane_buffer().client)
        return [
            WorkerState(
                name=worker.name,
                queue=",".join(worker.queue_names()),
                state=str(worker.get_state()),
                last_heartbeat=worker.last_heartbeat,
                build=_build_of(worker),
                lane=_lane_of(worker),
                done_count=worker.successful_job_count,
            )
            for worker in found
        ]
    except redis.RedisError as error:
        raise BufferUnavailable(str(error)) from error


def _build_of(worker: BaseWorker) -> str:
    found = worker.connection.hget(worker.key, BUILD_FIELD)
    return found.decode() if isinstance(found, bytes) else ""


def _lane_of(worker: BaseWorker) -> int | None:
    """Of the drain job that it runs, whose id names the lane."""
    running = worker.connection.smembers(worker.executions_key)
    found = (_LANE_OF_JOB.match(as_text(execution)) for execution in running)
    return next((int(each[1]) for each in found if each), None)


def queues() -> Sequence[QueueState]:
    """Raises BufferUnavailable."""
    buffer = lane_buffer()
    return [
        QueueState(name, buffer.waiting_jobs_count(name), buffer.failed_jobs_count(name))
        for name in (DRAIN_QUEUE, OPS_QUEUE)
    ]


def drain_workers_alive_count() -> int:
    """Drain workers whose heartbeat is fresh. Raises BufferUnavailable."""
    since = datetime.now(UTC) - WORKER_SILENT_AT_MOST
    return sum(
        1 for each in workers() if each.queue == DRAIN_QUEUE and each.last_heartbeat and each.last_heartbeat > since
    )


def scaling() -> Standing | None:
    """What the autoscaler wants and why; None where none runs. Raises BufferUnavailable."""
    return standing_of(lane_buffer())


def certificates_of(provider: Provider) -> QuerySet[ProviderCertificate]:
    """All that were imported for it, those that last longest first."""
    return ProviderCertificate.objects.filter(provider=provider).order_by("-not_after")


def wanted_certificates_of(provider: Provider) -> QuerySet[WantedCertificate]:
    """Those that its messages named and that nobody has imported, the latest first."""
    return WantedCertificate.objects.filter(provider=provider).order_by("-last_seen_at")


def confirmations_of(provider: Provider) -> QuerySet[Event]:
    """Requests of Amazon SNS to confirm that a subscription begins or ends, the newest first."""
    return Event.objects.filter(
        ordering_key__in=provider.options.get("topic_arns", []),  # their ordering key, which has an index
        provider=provider.name,
        event_type__in=[MessageType.SUBSCRIPTION.value, MessageType.UNSUBSCRIPTION.value],
    ).order_by("-pk")
