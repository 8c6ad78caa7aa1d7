"""Give letters up: they stay readable until retention, and are never retried again."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from django.db import transaction

from console.access import Permission
from console.actions.operator import Operator, check
from console.actions.set_aside import DISCARDED, Part, bounded, facts_of, subject_of
from evidence.audit import record
from evidence.models import AuditEntry
from ingestion.redrive.discard import discard
from ingestion.redrive.place import SetAside

PERMISSION = Permission.SET_ASIDE_DISCARD


def discard_set_aside(
    operator: Operator, *, place: SetAside, event_ids: Sequence[UUID], reason: str, part: Part | None = None
) -> AuditEntry:
    """What was open is DISCARDED with the reason, and on record with what was refused.

    Raises RefusalRecorded, TooMany, and ValueError for an empty reason; then nothing changed.
    """
    wanted = bounded(event_ids)
    subject = subject_of(place, wanted, part)
    check(operator, PERMISSION, subject=f"discard {subject}")
    with transaction.atomic(durable=True):
        result = discard(place, wanted, reason=reason.strip())
        if part is not None:
            part.counted(len(result.discarded), len(result.refused))
        return record(
            DISCARDED[place],
            actor=operator.actor,
            subject=subject,
            reason=reason.strip(),
            facts=facts_of(result.discarded, result.refused, part),
        )
