"""A person changes the mode: down at any time with a reason, up by a decision."""

from __future__ import annotations

from collections.abc import Mapping

from django.db import transaction

from console.access import Permission
from console.actions.operator import Operator, check
from evidence.audit import Act, record
from evidence.mode_changes import ModeNotRaised, change_mode
from evidence.models import Decision, ModeChange
from evidence.modes import Mode, current_mode


def set_mode(
    operator: Operator,
    to: Mode,
    *,
    reason: str,
    decision: Decision | None = None,
    scope: Mapping[str, object] | None = None,
) -> ModeChange:
    """Raises RefusalRecorded, ModeNotRaised (on record), ModeUnchanged."""
    is_up = to.rank > current_mode().rank or scope is not None
    check(operator, Permission.MODE_RAISE if is_up else Permission.MODE_LOWER, subject=f"mode {to}")
    cause = ModeChange.Cause.DECISION if is_up else ModeChange.Cause.PERSON
    try:
        with transaction.atomic(durable=True):
            return change_mode(to, cause=cause, actor=operator.actor, reason=reason, decision=decision, scope=scope)
    except ModeNotRaised as error:
        with transaction.atomic(durable=True):  # what is raised again must not take the entry with it
            record(Act.MODE_REFUSED, actor=operator.actor, subject=f"mode {to}", reason=str(error)[:500])
        raise
