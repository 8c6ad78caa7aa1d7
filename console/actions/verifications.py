"""Long verifications are asked for and cancelled. Whoever may read a thing may verify it."""

from __future__ import annotations

from django.db import transaction

from console import verifications
from console.access import Permission
from console.actions.operator import Operator, check
from evidence.audit import Act, record
from evidence.models import Bundle, VerificationOrder
from evidence.orders.stop import NotUnderWay, ask_to_cancel


def order_verification(operator: Operator, bundle: Bundle | None) -> VerificationOrder:
    """Of a bundle, or without one of the audit log. Raises RefusalRecorded, AuditLogBusy."""
    _check(operator, bundle, act="verify")
    with transaction.atomic(durable=True):
        return verifications.order(bundle, actor=operator.actor)


def cancel_verification(operator: Operator, number: int, bundle: Bundle | None) -> VerificationOrder:
    """It ends within a second, without an outcome. Raises RefusalRecorded, NotUnderWay, AuditLogBusy."""
    _check(operator, bundle, act="cancel verification of")
    with transaction.atomic(durable=True):
        found = verifications.verifications_of(bundle).filter(pk=number).first()
        if found is None:
            raise NotUnderWay("there is no such order")
        kept = ask_to_cancel(found, actor=operator.actor)
        facts = {"order": kept.pk, "state": kept.state, "checked_count": kept.checked_count}
        record(Act.VERIFICATION_CANCELLED, actor=operator.actor, subject=verifications.subject_of(kept), facts=facts)
        return kept


def _check(operator: Operator, bundle: Bundle | None, *, act: str) -> None:
    if bundle is None:
        check(operator, Permission.AUDIT_READ, subject=f"{act} {verifications.AUDIT_LOG}")
    else:
        subject = f"{act} artifact {bundle.artifact_id}"
        check(operator, Permission.EVIDENCE_READ, subject=subject, row=bundle, on_row=Permission.BUNDLE_READ)
