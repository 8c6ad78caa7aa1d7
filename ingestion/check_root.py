"""A batch's root and counts against its rows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from autocom.kernel.merkle import root_of_hashes
from ingestion.leaf import DEAD, QUARANTINED, REDRIVEN, STORED
from ingestion.leaves import split_hashes
from ingestion.models import Batch
from ingestion.row_finding import RowFinding
from ingestion.stored_rows import NAMES, StoredRow

SHOWN_COUNT = 10


class RootNotProved(Exception):
    """No row is missing and none too many, but the root is another: some row was changed."""

    def __init__(self, batch: Batch, leaves: Sequence[StoredRow]) -> None:
        what = f"its root is not that of its {len(leaves)} leaves: a row was changed, or another put in its place"
        super().__init__(what)
        self.leaves = leaves
        self.finding = RowFinding("changed", f"batch {batch.number}", what)


def check_root(batch: Batch, rows: Sequence[StoredRow], *, kept: bytes | None) -> list[RowFinding]:
    """`rows` in sequence order; `kept`: the packed leaf hashes, where rows began to age out. Raises RootNotProved."""
    if kept is not None:
        return list(_against_kept(batch, rows, split_hashes(kept)))
    leaves = [row for row in rows if row.leaf_kind != QUARANTINED or batch.leaf_format > 1]
    hashes = [row.leaf_hash() for row in leaves]
    if batch.events_aged_at is not None and batch.event_count:
        return [RowFinding("missing", f"batch {batch.number}", "its events aged out, and the hashes of their leaves")]
    findings = list(_count_findings(batch, rows))
    if root_of_hashes(hashes) == bytes(batch.merkle_root):
        return findings
    if surplus := _surplus(batch, leaves, hashes):
        return [RowFinding("unexpected", surplus.name, f"without it batch {batch.number} has its root")]
    if not findings:
        raise RootNotProved(batch, leaves)
    return findings


def _against_kept(batch: Batch, rows: Sequence[StoredRow], hashes: Sequence[bytes]) -> Iterator[RowFinding]:
    where = f"batch {batch.number}"
    if root_of_hashes(hashes) != bytes(batch.merkle_root):
        yield RowFinding("changed", where, "the hashes of its leaves that are kept do not give its root")
        return
    known = set(hashes)
    for row in rows:
        if row.leaf_kind == QUARANTINED and batch.leaf_format == 1:
            continue
        if row.leaf_hash() not in known:
            yield RowFinding("changed", row.name, "its leaf is none of those kept for its batch")
    events_count = sum(row.is_event for row in rows)
    if batch.events_aged_at is None and events_count != batch.event_count:
        yield _count_finding(batch, rows, kind=STORED, recorded_count=batch.event_count)
    if batch.events_aged_at is not None and events_count:
        yield RowFinding("unexpected", where, f"its events aged out, and it has {events_count}")


def _count_findings(batch: Batch, rows: Sequence[StoredRow]) -> Iterator[RowFinding]:
    found = Counter(STORED if row.leaf_kind == REDRIVEN else row.leaf_kind for row in rows)
    recorded = {STORED: batch.event_count, DEAD: batch.dead_count, QUARANTINED: batch.quarantined_count}
    for kind, recorded_count in recorded.items():
        if kind == QUARANTINED and batch.leaf_format == 1 and found[kind] < recorded_count:
            continue  # they were removed without a trace once they were settled
        if found[kind] != recorded_count:
            yield _count_finding(batch, rows, kind=kind, recorded_count=recorded_count)


def _count_finding(batch: Batch, rows: Sequence[StoredRow], *, kind: str, recorded_count: int) -> RowFinding:
    found_count = sum(NAMES[row.leaf_kind] == NAMES[kind] for row in rows)
    what = f"it has {found_count} {NAMES[kind]} rows, and was committed with {recorded_count}"
    if found_count > recorded_count:
        return RowFinding("unexpected", f"batch {batch.number}", what)
    return RowFinding("missing", f"batch {batch.number}", f"{what}; {_empty_places(batch, rows)}")


def _empty_places(batch: Batch, rows: Sequence[StoredRow]) -> str:
    taken = {row.sequence for row in rows}
    places = range(batch.first_sequence, batch.last_sequence + 1)
    empty = [str(sequence) for sequence in places if sequence not in taken]
    shown = ", ".join(empty[:SHOWN_COUNT]) + (", …" if len(empty) > SHOWN_COUNT else "")
    of_others = f" ({batch.duplicate_count} of them of duplicates)" if batch.duplicate_count else ""
    return f"no row has sequence {shown}{of_others}" if empty else "every sequence has a row"


def _surplus(batch: Batch, leaves: Sequence[StoredRow], hashes: Sequence[bytes]) -> StoredRow | None:
    """The one row without which the root is right."""
    recorded_count = batch.event_count + batch.dead_count
    recorded_count += batch.quarantined_count if batch.leaf_format > 1 else 0
    if len(leaves) != recorded_count + 1:
        return None
    root = bytes(batch.merkle_root)
    return next(
        (row for at, row in enumerate(leaves) if root_of_hashes([*hashes[:at], *hashes[at + 1 :]]) == root), None
    )
