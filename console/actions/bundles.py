"""Bundles are asked for, and their making is cancelled."""

from __future__ import annotations

from django.db import transaction

from console.access import Permission
from console.actions.operator import Operator, check
from evidence.audit import Act, record
from evidence.bundles.orders import order
from evidence.models import BundleOrder
from evidence.orders.stop import NotUnderWay, ask_to_cancel


def ask_for_bundle(operator: Operator, *, run_id: str, gate_name: str) -> BundleOrder:
    """The order waits for the ops worker; its making is what goes on record. Raises RefusalRecorded, RunUnknown,
    GateUnknown.
    """
    check(operator, Permission.EVIDENCE_EXPORT, subject=f"bundle of run {run_id}"[:200])
    with transaction.atomic(durable=True):
        return order(run_id=run_id, gate_name=gate_name, actor=operator.actor)


def cancel_bundle(operator: Operator, number: str) -> BundleOrder:
    """It ends before its next step, and no bundle is made. Raises RefusalRecorded, NotUnderWay, AuditLogBusy."""
    check(operator, Permission.EVIDENCE_EXPORT, subject=f"bundle order {number}"[:200])
    with transaction.atomic(durable=True):
        found = BundleOrder.objects.filter(pk=int(number)).first() if number.isascii() and number.isdigit() else None
        if found is None:
            raise NotUnderWay("there is no such order")
        kept = ask_to_cancel(found, actor=operator.actor)
        facts = {"run_id": kept.run_id, "gate": kept.gate, "order": kept.pk, "state": kept.state}
        record(Act.BUNDLE_CANCELLED, actor=operator.actor, subject=f"run {kept.run_id}", facts=facts)
        return kept
