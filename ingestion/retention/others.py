"""Rows that nothing else needs once they are old."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db.models import QuerySet

from ingestion.models import (
    AckOutcome,
    AgedEvent,
    FlushMark,
    LaneIncident,
    LatencyFlush,
    LatencyMerge,
    RefusalCount,
    RefusalSample,
    SuppressedDuplicate,
    WantedCertificate,
)
from ingestion.retention.policy import RetentionPolicy, earliest_id, moment_before

WANTED_FOR = timedelta(days=30)  # a certificate that no message named for so long gives its place to another


@dataclass(slots=True, kw_only=True)
class Others:
    """Rows of one table, those that the queryset names."""

    name: str
    due: QuerySet[Any]

    def step(self, limit_count: int) -> int | None:
        keys = list(self.due.select_for_update(skip_locked=True).values_list("pk", flat=True)[:limit_count])
        if not keys:
            return None
        self.due.model._default_manager.filter(pk__in=keys).delete()
        return len(keys)

    def due_count(self) -> int:
        return self.due.count()


type MoreOthers = Callable[[RetentionPolicy, datetime], Iterator[Others]]
_more: list[MoreOthers] = []


def purge_also(more: MoreOthers) -> None:
    """What apps above this one keep, and nothing needs once it is old."""
    _more.append(more)


def others(policy: RetentionPolicy, *, now: datetime) -> Iterator[Others]:
    if events := moment_before(now, days=policy.event_days):
        due = SuppressedDuplicate.objects.filter(pk__lt=earliest_id(events)).order_by("pk")
        yield Others(name="duplicates", due=due)
        yield Others(name="lane incidents", due=LaneIncident.objects.filter(seen_at__lt=events))
    if identities := moment_before(now, days=policy.identity_days):
        yield Others(name="identities", due=AgedEvent.objects.filter(pk__lt=earliest_id(identities)).order_by("pk"))
    figures = now - timedelta(days=policy.figures_days)
    yield Others(name="latencies", due=LatencyFlush.objects.filter(minute__lt=figures).order_by("minute"))
    yield Others(name="latency merges", due=LatencyMerge.objects.filter(begin__lt=figures).order_by("begin"))
    yield Others(name="answers", due=AckOutcome.objects.filter(minute__lt=figures).order_by("minute"))
    yield Others(name="refusals", due=RefusalCount.objects.filter(minute__lt=figures).order_by("minute"))
    yield Others(name="flush marks", due=FlushMark.objects.filter(rolled_at__lt=figures))
    if bodies := moment_before(now, days=policy.body_days):
        yield Others(name="refusal samples", due=RefusalSample.objects.filter(received_at__lt=bodies))
    yield Others(name="wanted certificates", due=WantedCertificate.objects.filter(last_seen_at__lt=now - WANTED_FOR))
    for more in _more:
        yield from more(policy, now)
