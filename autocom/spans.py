"""The spans of a delivery, from the times that its envelope and its batch carry; of an ops job and of a request to the
console. Pure.

`receive` (first byte to the lane) is the root, `queue` (on the lane to claimed) and `commit` (claimed to committed) are
below it. A delivery whose events ride several lanes has a queue and a commit for each. A job or request is one span.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from uuid import UUID

from autocom.kernel.trace_ids import span_id, trace_id
from ingestion.committed import CommittedDelivery
from ingestion.worker import EndedJob

ROOT = "receive"
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
OTHER_METHOD = "_OTHER"  # OpenTelemetry's word: a method is the caller's own text


class Kind(StrEnum):
    """As OpenTelemetry has them."""

    SERVER = "server"
    CONSUMER = "consumer"
    INTERNAL = "internal"


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """`parent_id` is None for the root, which alone has a link. A clock that went back makes it 0 long, never less."""

    name: str
    trace_id: str
    span_id: str
    parent_id: str | None
    start_us: int
    end_us: int
    kind: Kind = Kind.INTERNAL
    has_failed: bool = False
    attributes: dict[str, str | int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class AnsweredRequest:
    """To the console or its API. `view` and `route` are names and patterns of ours: no part of the address is kept."""

    request_id: UUID
    method: str
    view: str
    route: str
    status: int
    began_us: int
    ended_us: int


def spans_of(delivery: CommittedDelivery) -> Iterator[Span]:
    place: dict[str, str | int] = {
        "autocom.lane": delivery.lane,
        "autocom.epoch": delivery.epoch,
        "autocom.sequence": delivery.first_sequence,
    }
    yield _span(
        delivery,
        ROOT,
        start_us=delivery.received_us,
        end_us=delivery.accepted_us,
        told={"autocom.request_id": str(delivery.request_id), "autocom.provider": delivery.provider},
        kind=Kind.SERVER,
    )
    yield _span(delivery, "queue", start_us=delivery.accepted_us, end_us=delivery.claimed_us, told=place)
    batch: dict[str, str | int] = {
        "autocom.batch": delivery.batch,
        "autocom.events": delivery.event_count,
        "autocom.worker": delivery.worker,
    }
    yield _span(
        delivery,
        "commit",
        start_us=delivery.claimed_us,
        end_us=delivery.committed_us,
        told={**place, **batch},
        kind=Kind.CONSUMER,
    )


def span_of_job(job: EndedJob) -> Span:
    """By the name of its function alone: arguments may say whose work it is."""
    return Span(
        name=f"job {job.name}",
        trace_id=trace_id(job.run_id),
        span_id=span_id(job.run_id, "job"),
        parent_id=None,
        start_us=job.began_us,
        end_us=job.began_us + round(job.took_seconds * 1_000_000),
        kind=Kind.CONSUMER,
        has_failed=not job.is_done,
        attributes={"autocom.job": job.name, "autocom.queue": job.queue},
    )


def span_of_request(request: AnsweredRequest) -> Span:
    method = request.method if request.method in METHODS else OTHER_METHOD
    return Span(
        name=f"{method} {request.view}",
        trace_id=trace_id(request.request_id),
        span_id=span_id(request.request_id, "request"),
        parent_id=None,
        start_us=request.began_us,
        end_us=max(request.began_us, request.ended_us),
        kind=Kind.SERVER,
        has_failed=request.status >= 500,
        attributes={
            "http.request.method": method,
            "http.route": f"/{request.route}",
            "http.response.status_code": request.status,
        },
    )


def _span(
    delivery: CommittedDelivery,
    name: str,
    *,
    start_us: int,
    end_us: int,
    told: Mapping[str, str | int],
    kind: Kind = Kind.INTERNAL,
) -> Span:
    root = span_id(delivery.request_id, ROOT)
    is_root = name == ROOT
    return Span(
        name=name,
        trace_id=trace_id(delivery.request_id),
        span_id=root if is_root else span_id(delivery.request_id, f"{name} {delivery.lane}"),
        parent_id=None if is_root else root,
        start_us=start_us,
        end_us=max(start_us, end_us),
        kind=kind,
        attributes=dict(told),
    )
