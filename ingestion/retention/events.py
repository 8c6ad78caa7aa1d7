"""Event rows: each leaves its leaf's hash with its batch, and a narrow row that knows its identity again."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from django.db.models import QuerySet

from ingestion.leaves import NotProved, keep_leaves, leaf_of_row, rows_of_batch
from ingestion.models import AgedEvent, Batch, Event
from ingestion.retention.bodies import note_not_proved, oldest
from ingestion.retention.bounds import Bounds


@dataclass(slots=True, kw_only=True)
class Events:
    """Events whose batch was committed before the moment and whose payload has aged out already."""

    before: datetime
    now: datetime
    bounds: Bounds
    not_proved: set[int] = field(default_factory=set)
    name: str = "events"

    def due(self) -> QuerySet[Batch]:
        return Batch.objects.filter(
            self.bounds.allow(), events_aged_at=None, bodies_aged_at__isnull=False, committed_at__lt=self.before
        )

    def step(self, limit_count: int) -> int | None:
        batches = oldest(self.due().exclude(pk__in=self.not_proved), limit_count=limit_count)
        if not batches:
            return None
        return sum(self._age(batch) for batch in batches)

    def _age(self, batch: Batch) -> int:
        try:
            hashes = keep_leaves(batch)
        except NotProved as error:
            note_not_proved(batch, error, self.not_proved)
            return 0
        rows = rows_of_batch(Event, batch)
        AgedEvent.objects.bulk_create(self._narrow(rows, hashes))
        Event.objects.filter(pk__in=[row.pk for row in rows]).delete()
        Batch.objects.filter(pk=batch.pk).update(events_aged_at=self.now)
        return len(rows)

    def _narrow(self, rows: Sequence[Event], hashes: Sequence[bytes]) -> Iterator[AgedEvent]:
        positions = {leaf: position for position, leaf in enumerate(hashes)}
        for row in rows:
            yield AgedEvent(
                event_id=row.pk,
                provider=row.provider,
                identity=row.identity,
                content_sha256=row.content_sha256,
                lane=row.lane,
                epoch=row.epoch,
                sequence=row.sequence,
                batch_id=row.batch_id,
                position=positions[leaf_of_row(row)],
                aged_at=self.now,
            )

    def due_count(self) -> int:
        return sum(self.due().values_list("event_count", flat=True))
