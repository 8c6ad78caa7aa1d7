"""The queries that must stay fast however much is stored: on the way of a commit, and those behind the pages.

`manage.py doctor` asks PostgreSQL how it would run each. The values are of no row; the shape is what counts.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.db.models import QuerySet

from ingestion.latency import Stage
from ingestion.models import (
    AckOutcome,
    Batch,
    DeadLetter,
    Delivery,
    Event,
    LatencyFlush,
    QuarantinedEvent,
    RefusalCount,
    SuppressedDuplicate,
)

NOBODY = UUID(int=1)
HOUR = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class HotQuery:
    name: str
    column: str  # an index that begins with it serves, whichever one the planner likes better on a small table
    rows: QuerySet[Any]


def hot_queries(*, now: datetime) -> list[HotQuery]:
    event, flush = Event.objects, LatencyFlush.objects
    return [
        HotQuery("event by identity", "identity", event.filter(identity__in=[bytes(32), bytes(31) + b"\x01"])),
        HotQuery("event by id", "id", event.filter(pk=NOBODY)),
        HotQuery("event by message id and type", "message_id", event.filter(message_id="none", event_type="none")),
        HotQuery("events of an ordering key", "ordering_key", event.filter(ordering_key="none").order_by("-id")[:50]),
        HotQuery("event by lane and sequence", "lane", event.filter(lane=0, epoch=1, sequence__gt=0, sequence__lt=9)),
        HotQuery("batch by lane and sequence", "lane", Batch.objects.filter(lane=0, epoch=1, last_sequence__gte=1)[:1]),
        HotQuery("delivery by id", "request_id", Delivery.objects.filter(pk=NOBODY)),
        HotQuery(
            "duplicates of an event", "original_event_id", SuppressedDuplicate.objects.filter(original_event_id=NOBODY)
        ),
        HotQuery(
            "quarantined rivals of an event",
            "original_event_id",
            QuarantinedEvent.objects.filter(original_event_id=NOBODY),
        ),
        HotQuery("dead letter by id", "event_id", DeadLetter.objects.filter(pk=NOBODY)),
        HotQuery("open dead letters", "state", DeadLetter.objects.filter(state="open").order_by()),
        HotQuery("dead letters that failed alike", "fingerprint", DeadLetter.objects.filter(fingerprint="none")),
        HotQuery(
            "latency of a stage over a range",
            "minute",
            flush.filter(minute__gt=now - HOUR, minute__lt=now, stage=Stage.END_TO_END),
        ),
        HotQuery("answers of late", "flushed_at", AckOutcome.objects.filter(flushed_at__gt=now - timedelta(minutes=1))),
        HotQuery(
            "refusals of a provider",
            "provider",
            RefusalCount.objects.filter(provider="none", flushed_at__gt=now - HOUR),
        ),
    ]
