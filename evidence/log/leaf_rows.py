"""Every leaf of an incarnation as the rows have it now, beside the hash under which it was sealed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from autocom.kernel.merkle import leaf_hash
from evidence.audit_chain import canonical_entry
from evidence.log.lines import batch_line
from evidence.log.names import LogName
from evidence.log.reads import READ_AT_ONCE_COUNT, START_COUNT
from evidence.models import AuditEntry, LogIncarnation, SealedBatch
from evidence.selectors import chained
from ingestion.models import Batch


@dataclass(frozen=True, slots=True)
class RowLeaf:
    """`line` None: the row is gone. `sealed` is the leaf hash that was kept apart from the row; None where none was."""

    name: str
    line: bytes | None
    sealed: bytes | None

    @property
    def is_as_sealed(self) -> bool:
        return self.line is not None and self.sealed in (None, leaf_hash(self.line))


def row_leaves(incarnation: LogIncarnation) -> Iterator[RowLeaf]:
    """By index, from the start line on."""
    yield RowLeaf("the start line", incarnation.start_line.encode(), None)
    yield from _batches(incarnation) if incarnation.log == LogName.EVENTS else _entries(incarnation)


def _batches(incarnation: LogIncarnation) -> Iterator[RowLeaf]:
    expected = START_COUNT
    of_incarnation = SealedBatch.objects.filter(incarnation=incarnation).order_by("index")
    while sealed := list(of_incarnation.filter(index__gte=expected)[:READ_AT_ONCE_COUNT]):
        batches = Batch.objects.in_bulk([each.batch_number for each in sealed])
        for each in sealed:
            while expected < each.index:
                yield RowLeaf(f"the batch at index {expected}", None, None)
                expected += 1
            batch = batches.get(each.batch_number)
            line = batch_line(batch) if batch else None
            yield RowLeaf(f"batch {each.batch_number}", line, bytes(each.leaf_sha256))
            expected += 1


def _entries(incarnation: LogIncarnation) -> Iterator[RowLeaf]:
    """No hash is kept apart: the chain finds which entry was changed, the tree's root that one was."""
    expected = incarnation.first_number
    for row in AuditEntry.objects.filter(number__gte=expected).order_by("number").iterator(READ_AT_ONCE_COUNT):
        while expected < row.number:
            yield RowLeaf(f"audit entry {expected}", None, None)
            expected += 1
        try:
            line = canonical_entry(chained(row))
        except ValueError:  # not canonical any more: the chain's check says which
            line = b""
        yield RowLeaf(f"audit entry {row.number}", line, None)
        expected += 1
