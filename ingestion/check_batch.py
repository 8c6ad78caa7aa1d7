"""Whether stored rows are what was committed: each batch's root from its rows, and each row against its delivery.

1. The leaves give the root: of the rows, or the kept ones where rows have aged out. That proves what the leaves are
   made of (`leaf`), and that no row was added or is missing.
2. A delivery's body has the digest that its rows were committed with.
3. The provider's adapter finds the event in that body again; payload, identity, recipe, kind and times are what it
   says. Where it does not find the same content, as when provider, scheme or options are others now, digests alone
   count: then a payload that is not the whole body is proved by nothing.
4. A redriven event names the place and the moment that its row aside and its attempt have.

What aged out is no finding, and can be told from what somebody removed only while a leaf, a count or an open row is
there. Headers of deliveries are for `verify_stored`; batches' own columns and the order of batches for the log.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from uuid import UUID

from django.db.models import F, Q

from autocom.kernel.ids import position_of
from ingestion.changed_leaves import Columns, changed_rows, told_otherwise
from ingestion.check_delivery import check_posted
from ingestion.check_root import RootNotProved, check_root
from ingestion.dead_letters import RECEIPT_MISMATCH
from ingestion.identified_again import Identifier
from ingestion.models import (
    Batch,
    BatchLeaves,
    DeadLetter,
    Event,
    QuarantinedEvent,
    SetAsideAttempt,
    SuppressedDuplicate,
)
from ingestion.row_finding import RowFinding as RowFinding
from ingestion.stored_rows import StoredRow, chunks, posted, rows_of


def check_batch(batch: Batch) -> list[RowFinding]:
    """Empty where nothing is found. Raises django.db.Error."""
    return list(check_batches([batch]))


def check_batches(batches: Iterable[Batch]) -> Iterator[RowFinding]:
    """As `check_batch`, for many with few queries and in bounded memory: give them in the order of their numbers."""
    identifier = Identifier()
    for chunk in chunks(batches):
        yield from _check(chunk, identifier=identifier)


def stray_rows() -> Iterator[RowFinding]:
    """Rows that name a batch whose place in its lane they are not in. Reads whole tables, once for all batches."""
    outside = ~Q(
        lane=F("batch__lane"),
        epoch=F("batch__epoch"),
        sequence__gte=F("batch__first_sequence"),
        sequence__lte=F("batch__last_sequence"),
    )
    for model in (Event, DeadLetter, QuarantinedEvent):
        rows = model._default_manager.filter(outside).order_by().values_list("pk", "batch_id", "lane", "sequence")
        for event_id, number, lane, sequence in rows.iterator():
            what = f"lane {lane}, sequence {sequence} is no part of batch {number}, which it names"
            yield RowFinding("unexpected", f"{model._meta.verbose_name} {event_id}", what)


def _check(batches: Sequence[Batch], *, identifier: Identifier) -> Iterator[RowFinding]:
    by_number = {batch.number: batch for batch in batches}
    rows, kept = rows_of(batches), BatchLeaves.objects.in_bulk(by_number)
    told: dict[str, Columns] = {}
    suspects: dict[int, RootNotProved] = {}
    for batch in batches:
        leaves = kept.get(batch.number)
        try:
            yield from check_root(batch, rows.get(batch.number, []), kept=bytes(leaves.hashes) if leaves else None)
        except RootNotProved as error:
            suspects[batch.number] = error
    everything = [row for each in rows.values() for row in each]
    unposted: dict[UUID, list[StoredRow]] = defaultdict(list)
    for each in posted(everything):
        yield from check_posted(each, batches=by_number, suspects=suspects.keys(), identifier=identifier)
        if any(row.batch_number in suspects for row in each.rows):
            told |= told_otherwise(each, identifier=identifier)
        if each.delivery is None and (needing := [row for row in each.rows if _needs_delivery(row, by_number)]):
            unposted[each.request_id] = needing
    for number, suspect in suspects.items():
        yield from changed_rows(by_number[number], suspect.leaves, told) or [suspect.finding]
    yield from _missing_deliveries(unposted)
    yield from _redriven_findings([row for row in everything if row.redriven_at is not None])


def _needs_delivery(row: StoredRow, batches: Mapping[int, Batch]) -> bool:
    if row.error_class == RECEIPT_MISMATCH:
        return False
    return batches[row.batch_number].bodies_aged_at is None if row.is_event else not row.is_settled


def _missing_deliveries(unposted: Mapping[UUID, Sequence[StoredRow]]) -> Iterator[RowFinding]:
    """A delivery comes with the first of its events: before that one is committed, the others have none."""
    first_known = {row.event_id for rows in unposted.values() for row in rows if not position_of(row.event_id)}
    others = [request_id for request_id in unposted if request_id not in first_known]
    letters = DeadLetter.objects.filter(pk__in=others).exclude(error_class=RECEIPT_MISMATCH)
    first_known |= set(letters.values_list("pk", flat=True))
    for model in (Event, QuarantinedEvent, SuppressedDuplicate):
        if others:
            first_known |= set(model._default_manager.filter(pk__in=others).values_list("pk", flat=True))
    for request_id, rows in unposted.items():
        if request_id in first_known:
            yield RowFinding("missing", f"delivery {request_id}", f"its {rows[0].name} needs it, and it is not stored")


def _redriven_findings(rows: Sequence[StoredRow]) -> Iterator[RowFinding]:
    if not rows:
        return
    ids = [row.event_id for row in rows]
    first: dict[UUID, int] = {}
    for model in (DeadLetter, QuarantinedEvent):
        first |= dict(model._default_manager.filter(pk__in=ids).values_list("pk", "sequence"))
    stored = SetAsideAttempt.objects.filter(event_id__in=ids, outcome=SetAsideAttempt.Outcome.STORED)
    asked = dict(stored.values_list("event_id", "asked_at"))
    for row in rows:
        if first.get(row.event_id, row.redriven_from_sequence) != row.redriven_from_sequence:
            yield RowFinding("changed", row.name, f"its first sequence was {first[row.event_id]}")
        if asked.get(row.event_id, row.redriven_at) != row.redriven_at:
            yield RowFinding("changed", row.name, f"its retry was asked for at {asked[row.event_id].isoformat()}")
