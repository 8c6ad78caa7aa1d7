"""Every read of evidence from above."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from contextlib import closing, contextmanager
from itertools import chain
from typing import Any, cast

from django.db.models import Subquery

from evidence.audit_chain import ChainEntry, ChainHead, Verification, verify
from evidence.models import AuditEntry, AuditHead

READ_AT_ONCE_COUNT = 2_000


@contextmanager
def audit_log() -> Iterator[tuple[ChainHead, Iterator[ChainEntry]]]:
    """The head and every entry up to it, as of one moment. The entries are read while they are taken."""
    head = AuditHead.objects.order_by()
    rows = AuditEntry.objects.order_by("number").annotate(
        head_number=Subquery(head.values("number")), head_sha256=Subquery(head.values("entry_sha256"))
    )
    # the head comes with each row, so that one statement's snapshot holds both: entries may come while this reads
    with closing(cast("Generator[Any]", rows.iterator(chunk_size=READ_AT_ONCE_COUNT))) as read:
        first = next(read, None)
        if first is None:
            kept = head.get()
            yield ChainHead(kept.number, bytes(kept.entry_sha256)), iter(())
        else:
            yield ChainHead(first.head_number, bytes(first.head_sha256)), map(chained, chain([first], read))


def newest_number() -> int:
    """Of the audit log's newest entry; 0 while there is none."""
    return AuditHead.objects.order_by().values_list("number", flat=True).get()


def audit_verification(
    *, kept: ChainHead | None = None, tell: Callable[[int, int], None] | None = None
) -> Verification:
    """The whole log, verified now. `kept`: a head that was kept outside, which the log must still lead to. `tell`: is
    told how many entries were read, and of how many, now and then.
    """
    with audit_log() as (head, entries):
        return verify(entries if tell is None else _told(entries, head.number, tell), head=head, kept=kept)


def _told(entries: Iterator[ChainEntry], total: int, tell: Callable[[int, int], None]) -> Iterator[ChainEntry]:
    for number, entry in enumerate(entries, start=1):
        yield entry
        if number % READ_AT_ONCE_COUNT == 0 or number == total:
            tell(number, total)


def chained(row: AuditEntry) -> ChainEntry:
    """The row as it is hashed."""
    return ChainEntry(
        number=row.number,
        at=row.at,
        act=row.act,
        actor_kind=row.actor_kind,
        actor=row.actor,
        subject=row.subject,
        reason=row.reason,
        facts=row.facts,
        previous_sha256=bytes(row.previous_sha256),
        entry_sha256=bytes(row.entry_sha256 or b""),
    )
