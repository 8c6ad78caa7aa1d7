"""A person freezes a gate's specification: from then on runs are judged by this text."""

from __future__ import annotations

from console.access import Permission
from console.actions.operator import Operator, check
from evidence.gates.freeze import freeze
from evidence.models import FrozenSpec


def freeze_gate(operator: Operator, name: str, *, reason: str) -> FrozenSpec:
    """Raises RefusalRecorded, GateUnknown, AlreadyFrozen, ReasonMissing."""
    check(operator, Permission.GATE_FREEZE, subject=f"gate {name[:64]}")
    return freeze(name, actor=operator.actor, reason=reason)
