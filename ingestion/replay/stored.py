"""What PostgreSQL has of a run. The only module of the replay that knows the database."""

import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import batched
from typing import Any, Final
from uuid import UUID

from django.db import Error as AnyDatabaseError
from django.db import connection
from django.db.models import Max, Q, QuerySet

from ingestion.identify import short
from ingestion.models import Batch, DeadLetter, Event, QuarantinedEvent, SuppressedDuplicate
from ingestion.replay.events import message_id_prefix
from ingestion.replay.findings import Place, StoredRow
from ingestion.replay.history import History

CHUNK_COUNT: Final = 5_000
DRAIN_LIMIT: Final = timedelta(seconds=120)
POLL_PAUSE_SECONDS: Final = 0.25
# Sorts behind every digit in every collation, so that prefix..prefix+this holds all ids of a run.
AFTER_ALL_IDS: Final = "zzzz"
ROW_FIELDS: Final = (
    "message_id",
    "event_type",
    "ordering_key",
    "body_sha256",
    "lane",
    "epoch",
    "sequence",
    "batch_id",
)

# Where an accepted event may be, and what its id is called there.
TABLES: Final[tuple[tuple[Place, Any, str], ...]] = (
    (Place.EVENT, Event, "id"),
    (Place.DEAD_LETTER, DeadLetter, "event_id"),
    (Place.QUARANTINE, QuarantinedEvent, "event_id"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """The rows of a run. `aliases` leads from the id of an event that came again to the id it is stored under."""

    rows: tuple[StoredRow, ...]
    aliases: dict[UUID, UUID]
    last_committed_at: datetime | None


def stored_rows(history: History) -> Stored:
    """Every row of this run: by its message ids where they were made here, else from the ids in its receipts.

    Raises django.db.Error when PostgreSQL cannot be asked.
    """
    if history.is_generated:
        rows = list(_rows_where([_in_run(history.run_id)]))
    else:
        rows = _rows_promised(promised_ids(history), provider=history.provider, named=_expected_ids(history))
    known = {row.event_id for row in rows}
    aliases = _aliases(promised_ids(history) - known)
    rows += _rows_of_ids(set(aliases.values()) - known)
    return Stored(rows=tuple(rows), aliases=aliases, last_committed_at=_last_committed_at(rows))


def wait_until_stored(history: History, *, limit: timedelta) -> bool:
    """True as soon as PostgreSQL has everything that was promised, False when the limit has passed.

    A database that cannot be reached is asked again: it may be part of the trial that it comes back.
    """
    deadline = time.monotonic() + limit.total_seconds()
    promised = promised_ids(history)
    while time.monotonic() < deadline:
        try:
            promised -= _present(promised)
        except AnyDatabaseError:
            connection.close()  # the next question opens a new one
        if not promised:
            return True
        time.sleep(POLL_PAUSE_SECONDS)
    return False


def stored_count(run_id: str) -> int:
    """How many rows a run whose events were made here has by now. Raises django.db.Error."""
    return sum(model.objects.filter(_in_run(run_id)).count() for _, model, _ in TABLES)


def promised_ids(history: History) -> set[UUID]:
    """The event ids of all receipts."""
    return {receipt.event_id for send in history.sends if send.acknowledged for receipt in send.answer.receipts}


def _present(ids: set[UUID]) -> set[UUID]:
    """Those of the ids that are settled: stored, dead-lettered, quarantined, or known as a repetition."""
    found: set[UUID] = set()
    for model, id_field in (*((model, field) for _, model, field in TABLES), (SuppressedDuplicate, "event_id")):
        for chunk in batched(ids - found, CHUNK_COUNT):
            found.update(model.objects.filter(**{f"{id_field}__in": chunk}).values_list(id_field, flat=True))
    return found


def _in_run(run_id: str) -> Q:
    """By the prefix of the run. The range is for the index, whatever the collation; the prefix makes it exact."""
    prefix = message_id_prefix(run_id)
    return Q(message_id__gte=prefix, message_id__lt=prefix + AFTER_ALL_IDS) & Q(message_id__startswith=prefix)


def _expected_ids(history: History) -> set[str]:
    """The message ids that the plan knows of deliveries that were acknowledged."""
    planned = (send.planned for send in history.sends if send.acknowledged)
    return {short(event.message_id) for plan in planned for event in plan.events or () if event.message_id}


def _rows_promised(ids: set[UUID], *, provider: str, named: set[str]) -> list[StoredRow]:
    """The rows with these ids and every other row of the provider with one of their message ids or of those named."""
    rows = {row.event_id: row for row in _rows_of_ids(ids)}
    message_ids = sorted({row.message_id for row in rows.values()} | named)
    namesakes = _rows_where(Q(provider=provider, message_id__in=chunk) for chunk in batched(message_ids, CHUNK_COUNT))
    return list((rows | {row.event_id: row for row in namesakes}).values())


def _rows_of_ids(ids: set[UUID]) -> Iterator[StoredRow]:
    for place, model, id_field in TABLES:
        for chunk in batched(ids, CHUNK_COUNT):
            yield from _rows(place, model.objects.filter(**{f"{id_field}__in": chunk}), id_field)


def _rows_where(conditions: Iterable[Q]) -> Iterator[StoredRow]:
    for condition in conditions:
        for place, model, id_field in TABLES:
            yield from _rows(place, model.objects.filter(condition), id_field)


def _rows(place: Place, query: QuerySet[Any], id_field: str) -> Iterator[StoredRow]:
    fields = (*ROW_FIELDS, "redriven_from_sequence") if place is Place.EVENT else ROW_FIELDS
    for values in query.values_list(id_field, *fields).iterator(chunk_size=CHUNK_COUNT):
        event_id, message_id, event_type, ordering_key, digest, lane, epoch, sequence, batch, *redriven = values
        yield StoredRow(
            place=place,
            event_id=event_id,
            message_id=message_id,
            event_type=event_type,
            ordering_key=ordering_key,
            body_sha256=bytes(digest).hex(),
            lane=lane,
            epoch=epoch,
            sequence=sequence,
            batch=batch,
            redriven_from_sequence=redriven[0] if redriven else None,
        )


def _aliases(unknown: set[UUID]) -> dict[UUID, UUID]:
    aliases: dict[UUID, UUID] = {}
    for chunk in batched(unknown, CHUNK_COUNT):
        query = SuppressedDuplicate.objects.filter(event_id__in=chunk)
        aliases.update(query.values_list("event_id", "original_event_id"))
    return aliases


def _last_committed_at(rows: list[StoredRow]) -> datetime | None:
    moments = [
        Batch.objects.filter(number__in=chunk).aggregate(last=Max("committed_at"))["last"]
        for chunk in batched({row.batch for row in rows}, CHUNK_COUNT)
    ]
    return max(filter(None, moments), default=None)
