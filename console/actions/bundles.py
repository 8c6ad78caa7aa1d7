"""Bundles are asked for and verified, each time with its audit entry."""

from __future__ import annotations

from pathlib import Path

from django.db import transaction

from console.access import Permission
from console.actions.operator import Operator, check
from evidence.audit import Act, record
from evidence.bundles.orders import order
from evidence.bundles.verify import Report, key_of, verify_path
from evidence.log.keys import known_keys
from evidence.models import Bundle, BundleOrder


def ask_for_bundle(operator: Operator, *, run_id: str, gate_name: str) -> BundleOrder:
    """The order waits for the ops worker; its making is what goes on record. Raises RefusalRecorded, RunUnknown,
    GateUnknown.
    """
    check(operator, Permission.EVIDENCE_EXPORT, subject=f"bundle of run {run_id}"[:200])
    with transaction.atomic(durable=True):
        return order(run_id=run_id, gate_name=gate_name, actor=operator.actor)


def verify_bundle(operator: Operator, bundle: Bundle, archive: Path) -> Report:
    """As the stand-alone file does it, by the keys that this installation knows. Raises RefusalRecorded."""
    subject = f"artifact {bundle.artifact_id}"
    check(operator, Permission.EVIDENCE_READ, subject=f"verify {subject}")
    report = verify_path(archive, keys=[key_of(key.vkey) for key in known_keys()])
    with transaction.atomic(durable=True):
        facts = {"finding_count": len(report.findings), "unknown_count": len(report.unknown)}
        record(Act.BUNDLE_VERIFIED, actor=operator.actor, subject=subject, facts=facts)
    return report
