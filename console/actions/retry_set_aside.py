"""Send letters back to their lanes."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from django.db import transaction

from console.access import Permission
from console.actions.operator import Operator, check
from console.actions.set_aside import RETRIED, Part, bounded, facts_of, subject_of
from evidence.audit import record
from evidence.models import AuditEntry
from ingestion.redrive.place import SetAside
from ingestion.redrive.retry import request_retry

PERMISSION = Permission.SET_ASIDE_RETRY


def retry_set_aside(
    operator: Operator, *, place: SetAside, event_ids: Sequence[UUID], reason: str = "", part: Part | None = None
) -> AuditEntry:
    """What could be asked for is RETRYING and on record with what was refused; the lanes get it on commit.

    Raises RefusalRecorded and TooMany; then nothing changed.
    """
    wanted = bounded(event_ids)
    subject = subject_of(place, wanted, part)
    check(operator, PERMISSION, subject=f"retry {subject}")
    with transaction.atomic(durable=True):
        request = request_retry(place, wanted)
        if part is not None:
            part.counted(len(request.requested), len(request.refused))
        return record(
            RETRIED[place],
            actor=operator.actor,
            subject=subject,
            reason=reason.strip(),
            facts=facts_of(request.requested, request.refused, part),
        )
