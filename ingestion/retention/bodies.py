"""Payloads, deliveries and settled dead letters: what holds the senders' words."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from django.db.models import Q, QuerySet

from autocom.kernel.ids import last_event_id_of, request_id_of
from ingestion.leaves import NotProved, keep_leaves
from ingestion.models import (
    Batch,
    DeadLetter,
    Delivery,
    Event,
    QuarantinedEvent,
    SetAsideAttempt,
    SetAsideFields,
    SetAsideState,
)
from ingestion.redrive.place import SetAside
from ingestion.retention.bounds import Bounds
from ingestion.retention.policy import earliest_id

BATCHES_LIMIT_COUNT = 200  # in one transaction; many have one event
BEFORE_ALL = UUID(int=0)
SETTLED = (SetAsideState.RETRIED, SetAsideState.DISCARDED)

log = logging.getLogger(__name__)


@dataclass(slots=True, kw_only=True)
class Payloads:
    """Payloads of events whose batch was committed before the moment; the events stay."""

    before: datetime
    now: datetime
    bounds: Bounds
    name: str = "payloads"

    def due(self) -> QuerySet[Batch]:
        return Batch.objects.filter(self.bounds.allow(), bodies_aged_at=None, committed_at__lt=self.before)

    def step(self, limit_count: int) -> int | None:
        batches = oldest(self.due(), limit_count=limit_count)
        if not batches:
            return None
        for batch in batches:
            Event.objects.filter(
                lane=batch.lane,
                epoch=batch.epoch,
                sequence__gte=batch.first_sequence,
                sequence__lte=batch.last_sequence,
                batch=batch,
            ).update(payload=None)
        Batch.objects.filter(pk__in=[batch.pk for batch in batches]).update(bodies_aged_at=self.now)
        return sum(batch.event_count for batch in batches)

    def due_count(self) -> int:
        return sum(self.due().values_list("event_count", flat=True))


def oldest(due: QuerySet[Batch], *, limit_count: int) -> Sequence[Batch]:
    """The batches that were committed first, with about so many events together, locked. Not those of another run."""
    found = due.order_by("committed_at").select_for_update(skip_locked=True)
    return list(_fitting(found[:BATCHES_LIMIT_COUNT], limit_count))


def _fitting(batches: QuerySet[Batch], limit_count: int) -> Iterator[Batch]:
    """One at least, though it may be longer than the limit."""
    total = 0
    for batch in batches:
        total += batch.event_count
        if total > limit_count and total != batch.event_count:
            return
        yield batch


@dataclass(slots=True, kw_only=True)
class Deliveries:
    """Raw bodies and headers received before the moment, unless something that is kept still needs them.

    Those are looked at again in each run, from the oldest on: `after` is how far this one came.
    """

    before: datetime
    after: UUID = BEFORE_ALL
    name: str = "deliveries"

    def step(self, limit_count: int) -> int | None:
        found = Delivery.objects.filter(pk__gt=self.after, pk__lt=earliest_id(self.before)).order_by("pk")
        rows = list(found.select_for_update(skip_locked=True).values_list("pk", "event_count")[:limit_count])
        if not rows:
            return None
        requests = list(_within(rows, limit_count))
        self.after = requests[-1]
        going = set(requests) - _needed(requests)
        return Delivery.objects.filter(pk__in=going).delete()[0]

    def due_count(self) -> int:
        """Also those that something still needs: to tell them apart takes as long as to remove them."""
        return Delivery.objects.filter(pk__lt=earliest_id(self.before)).count()


def _within(rows: Sequence[tuple[UUID, int]], limit_count: int) -> Iterator[UUID]:
    total = 0
    for request_id, event_count in rows:
        total += event_count
        if total > limit_count and total != event_count:
            return
        yield request_id


def _needed(requests: Sequence[UUID]) -> set[UUID]:
    """Those with an event whose payload is there, or one that stands aside and is not settled."""
    here = Q(pk__gte=requests[0], pk__lte=last_event_id_of(requests[-1]))
    ids = [
        *Event.objects.filter(here, batch__bodies_aged_at=None).values_list("pk", flat=True),
        *DeadLetter.objects.filter(here).exclude(state__in=SETTLED).values_list("pk", flat=True),
        *QuarantinedEvent.objects.filter(here).exclude(state__in=SETTLED).values_list("pk", flat=True),
    ]
    return {request_id_of(each) for each in ids}


@dataclass(slots=True, kw_only=True)
class SettledAside:
    """Dead letters, or quarantined events, that somebody retried or discarded before the moment. Open ones stay for
    ever.

    `otherwise`: the time that counts for rows of before it was noted when their state changed.
    """

    place: SetAside
    otherwise: str
    before: datetime
    bounds: Bounds
    name: str
    after: UUID = BEFORE_ALL
    not_proved: set[int] = field(default_factory=set)

    def due(self) -> QuerySet[SetAsideFields]:
        settled = Q(state_at__lt=self.before) | Q(state_at=None, **{f"{self.otherwise}__lt": self.before})
        return self.place.model.objects.filter(settled, self.bounds.allow("batch__"), state__in=SETTLED)

    def step(self, limit_count: int) -> int | None:
        found = self.due().filter(pk__gt=self.after).order_by("pk").select_for_update(of=("self",), skip_locked=True)
        rows = list(found.select_related("batch").defer("payload_bytes")[: min(limit_count, BATCHES_LIMIT_COUNT)])
        if not rows:
            return None
        self.after = rows[-1].pk
        for batch in {row.batch for row in rows}:
            try:
                keep_leaves(batch)
            except NotProved as error:
                note_not_proved(batch, error, self.not_proved)
        going = [row.pk for row in rows if row.batch_id not in self.not_proved]
        _forget_attempts(self.place, going)
        self.place.model.objects.filter(pk__in=going).delete()
        return len(going)

    def due_count(self) -> int:
        return self.due().count()


def _forget_attempts(place: SetAside, event_ids: Sequence[UUID]) -> None:
    SetAsideAttempt.objects.filter(place=place, event_id__in=event_ids).delete()


def note_not_proved(batch: Batch, error: NotProved, noted: set[int]) -> None:
    """Its rows stay: they are the evidence of whatever happened to them."""
    noted.add(batch.pk)
    log.error("batch_not_aged", extra={"batch": batch.pk, "error": str(error)})
