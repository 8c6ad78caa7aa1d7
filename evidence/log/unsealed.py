"""What is committed and not in its log yet, as lines, in the order in which it is to be entered."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from django.db import connection
from django.db.models import Exists, Max, OuterRef

from autocom.kernel.digest import sha256
from evidence.audit_chain import GENESIS_SHA256, canonical_entry
from evidence.log.errors import SealingRefused
from evidence.log.lines import batch_line
from evidence.log.names import LogName
from evidence.log.reads import START_COUNT
from evidence.models import AuditEntry, LogIncarnation, SealedBatch, SealerState
from evidence.selectors import chained
from ingestion.models import Batch, LaneIncident


@dataclass(frozen=True, slots=True)
class Leaf:
    """`number`: of the batch or the audit entry; None for a start line."""

    number: int | None
    line: bytes


@dataclass(frozen=True, slots=True)
class Unsealed:
    """`held_why`: what was left out, and why; empty when nothing was."""

    leaves: Sequence[Leaf]
    held_why: str = ""


def unsealed(incarnation: LogIncarnation, *, tree_size: int, limit_count: int) -> Unsealed:
    """The next leaves after a tree of this size. Raises SealingRefused where nothing of the log may be sealed."""
    if incarnation.log == LogName.EVENTS:
        return _batches(incarnation, limit_count=limit_count)
    return Unsealed(list(_entries(incarnation, tree_size=tree_size, limit_count=limit_count)))


def unsealed_batches(state: SealerState) -> Iterator[Batch]:
    """By number. What is not in the log, and not what is above a mark: a lower number may commit after a higher one."""
    sealed = SealedBatch.objects.filter(batch_number=OuterRef("pk"))
    waiting = Batch.objects.filter(~Exists(sealed), number__gt=state.sealed_below)
    return waiting.order_by("number").iterator()


def sealed_through() -> int | None:
    """The number up to which every batch is sealed; None while nothing is."""
    state = SealerState.objects.filter(log=LogName.EVENTS).first()
    if state is None:
        return None
    waiting = next(unsealed_batches(state), None)
    if waiting is not None:
        return waiting.number - 1
    last: int | None = SealedBatch.objects.aggregate(last=Max("batch_number"))["last"]
    return last


def _batches(incarnation: LogIncarnation, *, limit_count: int) -> Unsealed:
    state, _ = SealerState.objects.get_or_create(log=LogName.EVENTS)
    _raise_floor(state)
    leaves: list[Leaf] = []
    held: dict[tuple[int, int], str] = {}
    ends: dict[tuple[int, int], int] = {}
    for batch in unsealed_batches(state):
        place = (batch.lane, batch.epoch)
        if place in held:
            continue
        if why := _gap_before(batch, incarnation, ends):
            held[place] = why
            continue
        ends[place] = max(ends.get(place, 0), batch.last_sequence)
        leaves.append(Leaf(batch.number, batch_line(batch)))
        if len(leaves) == limit_count:
            break
    return Unsealed(leaves, "; ".join(held.values()))


def _gap_before(batch: Batch, incarnation: LogIncarnation, ends: dict[tuple[int, int], int]) -> str:
    """Why the batch cannot follow what its lane has sealed: sequences that no batch has and no incident explains."""
    if batch.number < incarnation.first_number:
        return ""  # committed before batches without events had rows
    place = (batch.lane, batch.epoch)
    if place not in ends:
        earlier = Batch.objects.filter(lane=batch.lane, epoch=batch.epoch, number__lt=batch.number)
        ends[place] = earlier.aggregate(last=Max("last_sequence"))["last"] or 0
    first, last = ends[place] + 1, batch.first_sequence - 1
    if first > last or _is_explained(batch, first, last):
        return ""
    return f"lane {batch.lane}, epoch {batch.epoch}: sequences {first} to {last} are in no batch before {batch.number}"


def _is_explained(batch: Batch, first: int, last: int) -> bool:
    """A gap that the drain saw is on record since then: what was lost before the commit is no loss of the log."""
    gaps = LaneIncident.objects.filter(
        lane=batch.lane, epoch=batch.epoch, kind=LaneIncident.Kind.GAP, last_sequence__gte=first
    )
    for start, end in gaps.order_by("first_sequence").values_list("first_sequence", "last_sequence"):
        if start <= first <= end:
            first = end + 1
    return first > last


def _raise_floor(state: SealerState) -> None:
    """Every batch up to `sealed_below` is sealed or never came to be, so nobody has to look there again.

    A number is drawn by a transaction that has its id already: when all those have ended that were under way as a
    number was read, no lower one can still appear.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pg_snapshot_xmin(s)::text::bigint, pg_snapshot_xmax(s)::text::bigint FROM pg_current_snapshot() s"
        )
        oldest, newest = cursor.fetchone()
    is_settled = state.candidate_xmax <= oldest
    is_of_another_server = state.candidate_xmax > newest  # a restored dump: ids count anew
    if not (is_settled or is_of_another_server):
        return
    last_sealed = SealedBatch.objects.aggregate(last=Max("batch_number"))["last"] or 0
    if state.sealed_below == state.candidate == last_sealed:
        return
    waiting = next(unsealed_batches(state), None)
    if is_settled and state.candidate > state.sealed_below:
        state.sealed_below = min(state.candidate, waiting.number - 1) if waiting else state.candidate
    state.candidate = last_sealed
    state.candidate_xmax = newest
    state.save()


def _entries(incarnation: LogIncarnation, *, tree_size: int, limit_count: int) -> Iterator[Leaf]:
    """Raises SealingRefused where the chain is broken: sealing would put a signature under it."""
    first = incarnation.first_number + max(tree_size - START_COUNT, 0)
    before = AuditEntry.objects.filter(number=first - 1).values_list("entry_sha256", flat=True).first()
    previous = GENESIS_SHA256 if first == 1 else bytes(before or b"")
    rows = AuditEntry.objects.filter(number__gte=first).order_by("number")[:limit_count]
    for number, row in enumerate(rows, start=first):
        entry = chained(row)
        line = canonical_entry(entry)
        if row.number != number or entry.previous_sha256 != previous or sha256(line) != entry.entry_sha256:
            raise SealingRefused(f"audit entry {number} is missing or was changed: `manage.py audit verify` says more")
        previous = entry.entry_sha256
        yield Leaf(number, line)
