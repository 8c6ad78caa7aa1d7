"""Bundles are asked for."""

from __future__ import annotations

from django.db import transaction

from console.access import Permission
from console.actions.operator import Operator, check
from evidence.bundles.orders import order
from evidence.models import BundleOrder


def ask_for_bundle(operator: Operator, *, run_id: str, gate_name: str) -> BundleOrder:
    """The order waits for the ops worker; its making is what goes on record. Raises RefusalRecorded, RunUnknown,
    GateUnknown.
    """
    check(operator, Permission.EVIDENCE_EXPORT, subject=f"bundle of run {run_id}"[:200])
    with transaction.atomic(durable=True):
        return order(run_id=run_id, gate_name=gate_name, actor=operator.actor)
