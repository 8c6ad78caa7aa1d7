"""What the logs hold, as the rows say it."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain

from autocom.kernel.merkle import leaf_hash
from evidence.audit_chain import canonical_entry
from evidence.log.lines import batch_line
from evidence.log.names import LogName
from evidence.models import AuditEntry, LogIncarnation, Seal, SealedBatch
from evidence.selectors import chained
from ingestion.models import Batch

READ_AT_ONCE_COUNT = 2_000
START_COUNT = 1  # the start line: an incarnation's first leaf stands for no row


def current_incarnation(log: LogName) -> LogIncarnation | None:
    return LogIncarnation.objects.filter(log=log.value).order_by("-id").first()


def latest_seal(log: LogName) -> Seal | None:
    """Of the current incarnation; None while it has none."""
    incarnation = current_incarnation(log)
    return None if incarnation is None else last_of(incarnation)


def last_of(incarnation: LogIncarnation) -> Seal | None:
    return Seal.objects.filter(incarnation=incarnation).order_by("-number").select_related("incarnation").first()


def first_seal_over(incarnation: LogIncarnation, index: int) -> Seal | None:
    """The earliest whose tree holds the leaf with this index."""
    seals = Seal.objects.filter(incarnation=incarnation, tree_size__gt=index).order_by("tree_size")
    return seals.select_related("incarnation").first()


def checkpoint_note(seal: Seal) -> str:
    return seal.text.partition("\n\n")[2]


def leaf_lines(incarnation: LogIncarnation, first: int, end: int) -> Iterator[bytes]:
    """The lines with the indexes `first` to `end` - 1, from the rows of what they stand for; absent rows give none."""
    start = [incarnation.start_line.encode()] if first < START_COUNT <= end else []
    rows = _batch_lines if incarnation.log == LogName.EVENTS else _entry_lines
    return chain(start, rows(incarnation, max(first, START_COUNT), end))


def leaf_hashes(incarnation: LogIncarnation, *, size: int) -> list[bytes]:
    """Of the first `size` leaves, in order."""
    if incarnation.log == LogName.AUDIT:
        return [leaf_hash(line) for line in leaf_lines(incarnation, 0, size)]
    sealed = SealedBatch.objects.filter(incarnation=incarnation, index__lt=size).order_by("index")
    hashes = sealed.values_list("leaf_sha256", flat=True).iterator(chunk_size=READ_AT_ONCE_COUNT)
    return [leaf_hash(incarnation.start_line.encode()), *map(bytes, hashes)][:size]


def _batch_lines(incarnation: LogIncarnation, first: int, end: int) -> Iterator[bytes]:
    for at in range(first, end, READ_AT_ONCE_COUNT):
        until = min(at + READ_AT_ONCE_COUNT, end)
        numbers = list(
            SealedBatch.objects.filter(incarnation=incarnation, index__gte=at, index__lt=until)
            .order_by("index")
            .values_list("batch_number", flat=True)
        )
        batches = Batch.objects.in_bulk(numbers)
        yield from (batch_line(batches[number]) for number in numbers if number in batches)


def _entry_lines(incarnation: LogIncarnation, first: int, end: int) -> Iterator[bytes]:
    offset = incarnation.first_number - START_COUNT
    entries = AuditEntry.objects.filter(number__gte=first + offset, number__lt=end + offset).order_by("number")
    for entry in entries.iterator(chunk_size=READ_AT_ONCE_COUNT):
        yield canonical_entry(chained(entry))
