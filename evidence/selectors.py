"""Every read of evidence from above."""

from evidence.audit_chain import ChainEntry
from evidence.models import AuditEntry


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
