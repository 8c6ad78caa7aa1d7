"""The spans of a delivery, from the times that its envelope and its batch carry. Pure.

`receive` (first byte to the lane) is the root, `queue` (on the lane to claimed) and `commit` (claimed to committed) are
below it. A delivery whose events ride several lanes has a queue and a commit for each.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from autocom.kernel.trace_ids import span_id, trace_id
from ingestion.committed import CommittedDelivery

ROOT = "receive"


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """`parent_id` is None for the root, which alone has a link. A clock that went back makes it 0 long, never less."""

    name: str
    trace_id: str
    span_id: str
    parent_id: str | None
    start_us: int
    end_us: int
    attributes: dict[str, str | int] = field(default_factory=dict)


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
    )
    yield _span(delivery, "queue", start_us=delivery.accepted_us, end_us=delivery.claimed_us, told=place)
    batch: dict[str, str | int] = {
        "autocom.batch": delivery.batch,
        "autocom.events": delivery.event_count,
        "autocom.worker": delivery.worker,
    }
    yield _span(delivery, "commit", start_us=delivery.claimed_us, end_us=delivery.committed_us, told={**place, **batch})


def _span(delivery: CommittedDelivery, name: str, *, start_us: int, end_us: int, told: Mapping[str, str | int]) -> Span:
    root = span_id(delivery.request_id, ROOT)
    is_root = name == ROOT
    return Span(
        name=name,
        trace_id=trace_id(delivery.request_id),
        span_id=root if is_root else span_id(delivery.request_id, f"{name} {delivery.lane}"),
        parent_id=None if is_root else root,
        start_us=start_us,
        end_us=max(start_us, end_us),
        attributes=dict(told),
    )
