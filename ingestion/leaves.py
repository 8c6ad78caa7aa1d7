"""The leaves of a stored batch: computed from its rows while they are there, read as hashes once some are gone."""

from __future__ import annotations

from collections.abc import Sequence

from autocom.kernel.clock import us_of
from autocom.kernel.errors import AutocomError
from autocom.kernel.merkle import leaf_hash, root_of_hashes
from ingestion.leaf import DEAD, QUARANTINED, REDRIVEN, STORED, leaf_line
from ingestion.models import Batch, BatchLeaves, DeadLetter, Event, QuarantinedEvent

HASH_BYTES = 32

type LeafRow = Event | DeadLetter | QuarantinedEvent

_BYTES: dict[type[LeafRow], str] = {
    Event: "payload",
    DeadLetter: "payload_bytes",
    QuarantinedEvent: "payload_bytes",
}


class NotProved(AutocomError):
    """The batch's root is not that of its leaves: rows of it were changed, added or removed."""

    code = "batch_not_proved"


def leaf_of_row(row: LeafRow) -> bytes:
    """The hash of the row's leaf, from nothing but the row."""
    return leaf_hash(line_of_row(row))


def line_of_row(row: Event | DeadLetter) -> bytes:
    """The row's leaf."""
    return leaf_line(
        kind=_kind(row),
        provider=row.provider,
        message_id=row.message_id,
        event_type=row.event_type,
        ordering_key=row.ordering_key,
        lane=row.lane,
        epoch=row.epoch,
        sequence=row.sequence,
        accepted_us=us_of(row.accepted_at),
        body_sha256=bytes(row.body_sha256),
        content_sha256=bytes(row.content_sha256),
        event_id=row.pk,
    )


def _kind(row: LeafRow) -> str:
    if isinstance(row, DeadLetter):
        return DEAD
    if isinstance(row, QuarantinedEvent):
        return QUARANTINED
    return STORED if row.redriven_at is None else REDRIVEN


def rows_of_batch[Row: (Event, DeadLetter, QuarantinedEvent)](model: type[Row], batch: Batch) -> Sequence[Row]:
    """By the index on the place in the lane: there is none on the batch. Payloads are left out."""
    rows = model._default_manager.filter(
        lane=batch.lane,
        epoch=batch.epoch,
        sequence__gte=batch.first_sequence,
        sequence__lte=batch.last_sequence,
        batch=batch,
    )
    return list(rows.defer(_BYTES[model]).order_by("sequence"))


def leaf_hashes(batch: Batch) -> Sequence[bytes]:
    """In sequence order, from what is kept. Raises NotProved when the batch's root is another."""
    kept = BatchLeaves.objects.filter(batch=batch).first()
    hashes = _from_rows(batch) if kept is None else split_hashes(bytes(kept.hashes))
    if root_of_hashes(hashes) != bytes(batch.merkle_root):
        raise NotProved(f"batch {batch.number}: its root is not that of its {len(hashes)} leaves")
    return hashes


def keep_leaves(batch: Batch) -> Sequence[bytes]:
    """The batch's leaf hashes, which outlive its rows from now on. Raises NotProved, and nothing is kept then."""
    hashes = leaf_hashes(batch)
    if hashes:
        BatchLeaves.objects.bulk_create([BatchLeaves(batch=batch, hashes=b"".join(hashes))], ignore_conflicts=True)
    return hashes


def _from_rows(batch: Batch) -> Sequence[bytes]:
    rows: list[LeafRow] = [*rows_of_batch(Event, batch), *_letters(batch), *_quarantined(batch)]
    return [leaf_of_row(row) for row in sorted(rows, key=lambda row: row.sequence)]


def _letters(batch: Batch) -> Sequence[DeadLetter]:
    # the table has no index by place, and most batches have none
    return rows_of_batch(DeadLetter, batch) if batch.dead_count else []


def _quarantined(batch: Batch) -> Sequence[QuarantinedEvent]:
    has_leaves = batch.quarantined_count and batch.leaf_format > 1
    return rows_of_batch(QuarantinedEvent, batch) if has_leaves else []


def split_hashes(packed: bytes) -> Sequence[bytes]:
    return [packed[at : at + HASH_BYTES] for at in range(0, len(packed), HASH_BYTES)]
