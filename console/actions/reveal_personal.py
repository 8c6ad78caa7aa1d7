"""Show what is masked of one event, once."""

from __future__ import annotations

from typing import ClassVar

from django.db import transaction

from autocom.kernel.errors import AutocomError
from console.access import Permission
from console.actions.operator import Operator, check
from console.personal import Content
from evidence.audit import Act, record
from evidence.models import AuditEntry

PERMISSION = Permission.PERSONAL_REVEAL
REASON_LIMIT_CHARS = 500


class ReasonMissing(AutocomError):
    """Nobody sees personal data without saying why; nothing was shown."""

    code: ClassVar[str] = "reason_missing"


def reveal_personal(operator: Operator, row: Content, *, reason: str) -> AuditEntry:
    """The entry is committed before anything is shown. It names the event and the reason, and nothing of the data.

    Raises RefusalRecorded and ReasonMissing.
    """
    subject = f"{row._meta.verbose_name} {row.pk}"
    check(operator, PERMISSION, subject=f"reveal {subject}")
    told = reason.strip()
    if not 1 <= len(told) <= REASON_LIMIT_CHARS:
        raise ReasonMissing(
            f"say why in 1 to {REASON_LIMIT_CHARS} characters, such as “complaint 4711 of the recipient”"
        )
    with transaction.atomic(durable=True):
        facts = {"recipe": row.recipe, "provider": row.provider}
        return record(Act.PERSONAL_REVEALED, actor=operator.actor, subject=subject, reason=told, facts=facts)
