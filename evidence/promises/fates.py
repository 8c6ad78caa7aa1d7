"""Where the rows have promised events, and whether they are as promised. Two statements for a page of promises."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import connection

from autocom.kernel.clock import us_of
from ingestion.dead_letters import RECEIPT_MISMATCH
from ingestion.receipts import Receipt
from ingestion.traces import Fate

STORED = """
    SELECT e.id, e.lane, e.epoch, e.sequence, e.body_sha256, e.accepted_at, e.redriven_from_sequence, e.batch_id,
           b.lane = e.lane AND b.epoch = e.epoch AND e.sequence BETWEEN b.first_sequence AND b.last_sequence
    FROM ingestion_event e LEFT JOIN ingestion_batch b ON b.number = e.batch_id
    WHERE e.id = ANY(%s)
"""
# whatever is no event: those that aged out, those that stand aside, those that PostgreSQL knew for repeats
ASIDE = """
    SELECT 'aged', event_id, lane, epoch, sequence, NULL::bytea, NULL::timestamptz, batch_id, '', NULL::uuid
    FROM ingestion_agedevent WHERE event_id = ANY(%s)
    UNION ALL
    SELECT 'dead_letter', event_id, lane, epoch, sequence, body_sha256, accepted_at, batch_id, error_class, NULL
    FROM ingestion_deadletter WHERE event_id = ANY(%s)
    UNION ALL
    SELECT 'quarantined', event_id, lane, epoch, sequence, body_sha256, accepted_at, batch_id, '', original_event_id
    FROM ingestion_quarantinedevent WHERE event_id = ANY(%s)
    UNION ALL
    SELECT 'duplicate', event_id, NULL, NULL, NULL, NULL, NULL, NULL, '', original_event_id
    FROM ingestion_suppressedduplicate WHERE event_id = ANY(%s)
"""
LOOKED_FOR_COUNT = 1_000  # in one statement


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """Where a promised event is. `differs` says what is not as it was promised; empty where all is."""

    event_id: UUID
    fate: Fate
    batch: int | None = None
    original_event_id: UUID | None = None
    differs: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Row:
    fate: Fate
    event_id: UUID
    place: tuple[int, int, int] | None  # lane, epoch, sequence
    body_sha256: bytes | None
    accepted_at: datetime | None
    batch: int | None
    is_in_batch: bool = True
    redriven_from_sequence: int | None = None
    error_class: str = ""
    original_event_id: UUID | None = None


_ORDER = (Fate.STORED, Fate.AGED, Fate.DEAD_LETTER, Fate.QUARANTINED, Fate.DUPLICATE)


def kept_promises(promises: Sequence[Receipt]) -> dict[UUID, Kept]:
    """Those of the promised events that any table has. Raises django.db.Error."""
    found: dict[UUID, Kept] = {}
    for at in range(0, len(promises), LOOKED_FOR_COUNT):
        found |= _kept(promises[at : at + LOOKED_FOR_COUNT])
    return found


def _kept(promises: Sequence[Receipt]) -> dict[UUID, Kept]:
    rows: dict[UUID, dict[Fate, _Row]] = {}
    for row in _stored([promise.event_id for promise in promises]):
        rows[row.event_id] = {row.fate: row}
    # a retried event's first place stands with its letter
    unsure = [p.event_id for p in promises if not _is_plain(rows.get(p.event_id))]
    for row in _aside(unsure):
        rows.setdefault(row.event_id, {})[row.fate] = row
    return {p.event_id: _judged(p, rows[p.event_id]) for p in promises if p.event_id in rows}


def _is_plain(rows: dict[Fate, _Row] | None) -> bool:
    return rows is not None and rows[Fate.STORED].redriven_from_sequence is None


def _stored(event_ids: list[UUID]) -> Iterable[_Row]:
    for event_id, lane, epoch, sequence, body, accepted_at, redriven_from, batch, is_in_batch in _asked(
        STORED, [event_ids]
    ):
        yield _Row(
            fate=Fate.STORED,
            event_id=event_id,
            place=(lane, epoch, sequence),
            body_sha256=bytes(body),
            accepted_at=accepted_at,
            batch=batch,
            is_in_batch=bool(is_in_batch),
            redriven_from_sequence=redriven_from,
        )


def _aside(event_ids: list[UUID]) -> Iterable[_Row]:
    if not event_ids:
        return
    for fate, event_id, lane, epoch, sequence, body, accepted_at, batch, error_class, original in _asked(
        ASIDE, [event_ids] * 4
    ):
        yield _Row(
            fate=Fate(fate),
            event_id=event_id,
            place=None if lane is None else (lane, epoch, sequence),
            body_sha256=None if body is None else bytes(body),
            accepted_at=accepted_at,
            batch=batch,
            error_class=error_class,
            original_event_id=original,
        )


def _asked(query: str, parameters: list[list[UUID]]) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(query, parameters)
        return list(cursor.fetchall())


def _judged(promise: Receipt, rows: dict[Fate, _Row]) -> Kept:
    main = next(rows[fate] for fate in _ORDER if fate in rows)
    return Kept(
        event_id=promise.event_id,
        fate=main.fate,
        batch=main.batch,
        original_event_id=main.original_event_id,
        differs=_difference(promise, main, first=rows.get(Fate.DEAD_LETTER) or rows.get(Fate.QUARANTINED)),
    )


def _difference(promise: Receipt, main: _Row, *, first: _Row | None) -> str:
    if not main.is_in_batch:
        return f"batch {main.batch}, which the row names, is gone or of another place"
    if main.fate is Fate.DEAD_LETTER and main.error_class == RECEIPT_MISMATCH:
        return "its entry was changed in Redis before it was read: what is kept is not what was promised"
    if main.redriven_from_sequence is not None:
        return _of_retried(promise, main, first=first)
    difference = _row_difference(promise, main)
    if (
        difference and main.fate is Fate.AGED and first is not None
    ):  # a retry's place aged out; the letter has the first
        return _row_difference(promise, first)
    return difference


def _of_retried(promise: Receipt, main: _Row, *, first: _Row | None) -> str:
    """Place and time of its row are those of the retry; the letter, as long as it is kept, has the promised ones."""
    if main.redriven_from_sequence != promise.sequence:
        return f"first sequence {main.redriven_from_sequence}, promised {promise.sequence}"
    if main.body_sha256 != promise.body_sha256:
        return _body_difference(promise, main)
    return "" if first is None else _row_difference(promise, first)


def _row_difference(promise: Receipt, row: _Row) -> str:
    promised = (promise.lane, promise.epoch, promise.sequence)
    if row.place is not None and row.place != promised:
        return f"place {_told(row.place)}, promised {_told(promised)}"
    if row.body_sha256 is not None and row.body_sha256 != promise.body_sha256:
        return _body_difference(promise, row)
    if row.accepted_at is not None and us_of(row.accepted_at) != promise.accepted_us:
        return f"accepted at {us_of(row.accepted_at)} us, promised {promise.accepted_us} us"
    return ""


def _body_difference(promise: Receipt, row: _Row) -> str:
    return f"body digest {(row.body_sha256 or b'').hex()}, promised {promise.body_sha256.hex()}"


def _told(place: tuple[int, int, int]) -> str:
    lane, epoch, sequence = place
    return f"lane {lane} epoch {epoch} sequence {sequence}"
