"""The rows of batches as PostgreSQL has them, many batches in few queries: for checks, which want columns and no model.

Payloads and bodies are read apart, a few megabytes at a time.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby
from typing import Any
from uuid import UUID

from django.db.models import Func, IntegerField, QuerySet, TextField
from django.db.models.functions import Cast

from autocom.kernel.clock import us_of
from autocom.kernel.ids import request_id_of
from autocom.kernel.merkle import leaf_hash
from ingestion.leaf import DEAD, QUARANTINED, REDRIVEN, STORED, leaf_line
from ingestion.models import Batch, DeadLetter, Delivery, Event, QuarantinedEvent, SetAsideState

CHUNK_EVENTS_COUNT = 2_000
CHUNK_BATCHES_COUNT = 200
NAMES = {STORED: "event", REDRIVEN: "event", DEAD: "dead letter", QUARANTINED: "quarantined event"}


@dataclass(slots=True)
class StoredRow:
    """An event, a dead letter or a quarantined event, without its payload."""

    event_id: UUID
    batch_number: int
    provider: str
    message_id: str
    event_type: str
    ordering_key: str
    identity: bytes
    recipe: str
    lane: int
    epoch: int
    sequence: int
    body_sha256: bytes
    content_sha256: bytes
    received_at: datetime
    accepted_at: datetime
    occurred_at: datetime | None
    event_kind: str
    leaf_kind: str = STORED
    redriven_at: datetime | None = None
    redriven_from_sequence: int | None = None
    is_settled: bool = False  # retried or discarded: its delivery may age out
    error_class: str = ""

    def __post_init__(self) -> None:
        self.identity, self.body_sha256 = bytes(self.identity), bytes(self.body_sha256)
        self.content_sha256 = bytes(self.content_sha256)

    @property
    def name(self) -> str:
        return f"{NAMES[self.leaf_kind]} {self.event_id}"

    @property
    def is_event(self) -> bool:
        return self.leaf_kind in (STORED, REDRIVEN)

    @property
    def request_id(self) -> UUID:
        return request_id_of(self.event_id)

    def leaf_hash(self) -> bytes:
        return leaf_hash(
            leaf_line(
                kind=self.leaf_kind,
                provider=self.provider,
                message_id=self.message_id,
                event_type=self.event_type,
                ordering_key=self.ordering_key,
                lane=self.lane,
                epoch=self.epoch,
                sequence=self.sequence,
                accepted_us=us_of(self.accepted_at),
                body_sha256=self.body_sha256,
                content_sha256=self.content_sha256,
                event_id=self.event_id,
            )
        )


def chunks(batches: Iterable[Batch]) -> Iterator[list[Batch]]:
    """So many batches together that queries are few and memory is bounded."""
    chunk: list[Batch] = []
    rows_count = 0
    for batch in batches:
        size_count = batch.event_count + batch.dead_count + batch.quarantined_count
        if chunk and (rows_count + size_count > CHUNK_EVENTS_COUNT or len(chunk) == CHUNK_BATCHES_COUNT):
            yield chunk
            chunk, rows_count = [], 0
        chunk.append(batch)
        rows_count += size_count
    if chunk:
        yield chunk


def rows_of(batches: Sequence[Batch]) -> Mapping[int, list[StoredRow]]:
    """By batch number, in sequence order."""
    found: dict[int, list[StoredRow]] = defaultdict(list)
    numbers = [batch.number for batch in batches]
    for row in [*_events(batches, numbers), *_letters(numbers), *_quarantined(numbers)]:
        found[row.batch_number].append(row)
    for rows in found.values():
        rows.sort(key=lambda row: row.sequence)
    return found


_COLUMNS = (
    *("batch_id", "provider", "message_id", "event_type", "ordering_key", "identity", "recipe"),
    *(
        "lane",
        "epoch",
        "sequence",
        "body_sha256",
        "content_sha256",
        "received_at",
        "accepted_at",
        "occurred_at",
        "kind",
    ),
)


def _events(batches: Sequence[Batch], numbers: Sequence[int]) -> Iterator[StoredRow]:
    """By the index on the place in the lane: there is none on the batch."""
    by_lane = sorted(batches, key=lambda batch: (batch.lane, batch.epoch))
    for (lane, epoch), group in groupby(by_lane, key=lambda batch: (batch.lane, batch.epoch)):
        ranges = [(batch.first_sequence, batch.last_sequence) for batch in group]
        rows = Event.objects.filter(
            lane=lane,
            epoch=epoch,
            sequence__gte=min(first for first, _ in ranges),
            sequence__lte=max(last for _, last in ranges),
            batch_id__in=numbers,
        )
        for found in rows.values_list("id", *_COLUMNS, "redriven_at", "redriven_from_sequence"):
            leaf_kind = STORED if found[-2] is None else REDRIVEN
            yield _row(found[:-2], leaf_kind=leaf_kind, redriven_at=found[-2], redriven_from_sequence=found[-1])


def _letters(numbers: Sequence[int]) -> Iterator[StoredRow]:
    rows = DeadLetter.objects.filter(batch_id__in=numbers).order_by()
    for found in rows.values_list("event_id", *_COLUMNS, "state", "error_class"):
        yield _row(found[:-2], leaf_kind=DEAD, is_settled=_is_settled(found[-2]), error_class=found[-1])


def _quarantined(numbers: Sequence[int]) -> Iterator[StoredRow]:
    rows = QuarantinedEvent.objects.filter(batch_id__in=numbers).order_by()
    for found in rows.values_list("event_id", *_COLUMNS, "state"):
        yield _row(found[:-1], leaf_kind=QUARANTINED, is_settled=_is_settled(found[-1]))


def _row(common: Sequence[Any], **more: Any) -> StoredRow:
    return StoredRow(*common, **more)


def _is_settled(state: str) -> bool:
    return state in (SetAsideState.RETRIED, SetAsideState.DISCARDED)


@dataclass(frozen=True, slots=True)
class Posted:
    """The rows of one delivery, the delivery if it is there, and what each row has for a payload."""

    request_id: UUID
    rows: Sequence[StoredRow]
    delivery: Delivery | None
    payloads: Mapping[
        str, bytes | None
    ]  # by the row's name; an event's is jsonb as text, others' are the bytes that came


SLICE_BYTES = 8 * 1_048_576
SLICE_COUNT = 500


def posted(rows: Iterable[StoredRow]) -> Iterator[Posted]:
    """The rows by their delivery. At least one delivery at a time, and a few megabytes."""
    by_request: dict[UUID, list[StoredRow]] = defaultdict(list)
    for row in rows:
        by_request[row.request_id].append(row)
    for request_ids in _slices(_body_sizes(by_request)):
        deliveries = Delivery.objects.in_bulk(request_ids)
        payloads = _payloads([row for request_id in request_ids for row in by_request[request_id]])
        for request_id in request_ids:
            yield Posted(request_id, by_request[request_id], deliveries.get(request_id), payloads)


def _body_sizes(request_ids: Collection[UUID]) -> Mapping[UUID, int]:
    rows: QuerySet[Delivery] = Delivery.objects.filter(pk__in=request_ids)
    sizes = rows.annotate(body_bytes=Func("body", function="octet_length", output_field=IntegerField()))
    return dict.fromkeys(request_ids, 0) | dict(sizes.values_list("pk", "body_bytes"))


def _slices(sizes: Mapping[UUID, int]) -> Iterator[list[UUID]]:
    part: list[UUID] = []
    part_bytes = 0
    for request_id, size_bytes in sizes.items():
        if part and (part_bytes + size_bytes > SLICE_BYTES or len(part) == SLICE_COUNT):
            yield part
            part, part_bytes = [], 0
        part.append(request_id)
        part_bytes += size_bytes
    if part:
        yield part


def _payloads(rows: Sequence[StoredRow]) -> dict[str, bytes | None]:
    """By the row's name: an event that stood aside before has a row in two tables."""
    found: dict[str, bytes | None] = {}
    events = Event.objects.filter(pk__in=[row.event_id for row in rows if row.is_event])
    for event_id, text in events.annotate(text=Cast("payload", TextField())).values_list("pk", "text"):
        found[f"{NAMES[STORED]} {event_id}"] = None if text is None else text.encode()
    for model, kind in ((DeadLetter, DEAD), (QuarantinedEvent, QUARANTINED)):
        if aside := [row.event_id for row in rows if row.leaf_kind == kind]:
            bodies = model._default_manager.filter(pk__in=aside).values_list("pk", "payload_bytes")
            found |= {f"{NAMES[kind]} {event_id}": bytes(body) for event_id, body in bodies}
    return found
