"""Verifications that take longer than a page may: orders, done in a process of their own (`evidence.orders`)."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from functools import partial

from django.db.models import QuerySet

from autocom.kernel.clock import SYSTEM_CLOCK, datetime_of
from autocom.kernel.errors import AutocomError
from console.access import Permission
from console.actions.operator import Operator, RefusalRecorded, check
from console.actions.verify_bundle import verify_artifact
from evidence.audit import Act, Actor, ActorKind, record
from evidence.bundles.verify import Report
from evidence.models import Bundle, VerificationOrder
from evidence.models.orders import IS_OPEN
from evidence.orders import start
from evidence.orders.life import is_dead
from evidence.orders.start import Kind
from evidence.orders.steps import Steps
from evidence.orders.work import carried_out
from evidence.selectors import audit_verification, newest_number

TELL_EVERY_SECONDS = 1.0
FINDINGS_KEPT_COUNT = 50
PASS, FAIL, INCONCLUSIVE = "PASS", "FAIL", "INCONCLUSIVE"
OUTCOMES = {0: PASS, 1: FAIL, 3: INCONCLUSIVE}
AUDIT_LOG = "audit log"
OPS = Actor.process("ops")
KEPT = ("outcome", "finding_count", "findings", "told", "checked_count", "total_count")


class MayNotRead(AutocomError):
    """Whoever asked may not see what is verified any more."""

    code = "verification_rights_gone"


def verifications_of(bundle: Bundle | None) -> QuerySet[VerificationOrder]:
    """The newest first; without a bundle: of the audit log."""
    return VerificationOrder.objects.filter(bundle=bundle)


def subject_of(order: VerificationOrder) -> str:
    return AUDIT_LOG if order.bundle is None else f"artifact {order.bundle.artifact_id}"


def order(bundle: Bundle | None, *, actor: Actor) -> VerificationOrder:
    """Waits from the caller's COMMIT on, on record. One of the same that is under way is given back."""
    for other in verifications_of(bundle).filter(IS_OPEN):
        if not is_dead(other):
            return other
    made = VerificationOrder.objects.create(
        bundle=bundle,
        total_count=newest_number() if bundle is None else bundle.artifact.size_bytes,
        actor_kind=actor.kind.value,
        actor=actor.name,
        asked_at=datetime_of(us=SYSTEM_CLOCK.now_us()),
    )
    record(Act.VERIFICATION_ASKED, actor=actor, subject=subject_of(made), facts={"order": made.pk})
    return made


def start_next() -> int | None:
    """The order whose process was started. Raises OSError, django.db.Error, AuditLogBusy."""
    return start.start_next(ORDERS)


def settle(number: int) -> VerificationOrder:
    """Verified, or not and why. Raises VerificationOrder.DoesNotExist, OSError, django.db.Error."""
    asked = VerificationOrder.objects.select_related("bundle__artifact").get(pk=number)
    return carried_out(asked, _verify, kept=KEPT, ended=_record_ended)


def _verify(order: VerificationOrder) -> None:
    operator, told = Operator.as_now(Actor(ActorKind(order.actor_kind), order.actor)), Told(order)
    try:
        if order.bundle is None:
            check(operator, Permission.AUDIT_READ, subject=f"verify {AUDIT_LOG}")
            _verify_log(order, told)
        else:
            report = verify_artifact(operator, order.bundle.artifact, bundle=order.bundle, tell=told)
            _keep_report(order, report)
    except RefusalRecorded as refused:
        raise MayNotRead(f"{order.actor} does not hold {refused} any more") from None


def _verify_log(order: VerificationOrder, told: Told) -> None:
    found = audit_verification(tell=partial(told, "reading the entries"))
    order.outcome = FAIL if not found.is_sound else (PASS if found.entry_count else INCONCLUSIVE)
    order.finding_count = found.finding_count
    order.findings = [each.what for each in found.findings[:FINDINGS_KEPT_COUNT]]
    order.checked_count = order.total_count = found.entry_count
    order.told = {"head": str(found.head)}


def _keep_report(order: VerificationOrder, report: Report) -> None:
    order.outcome = OUTCOMES[report.exit_status]
    order.finding_count = len(report.findings)
    order.findings = [f"{each.fault}: {each.where}: {each.what}" for each in report.findings[:FINDINGS_KEPT_COUNT]]
    order.told = {"unknown": list(report.unknown), "warnings": list(report.warnings)}


@dataclass(slots=True)
class Told:
    """Tells the row how far it is, every second or when another step begins. Raises Cancelled, django.db.Error."""

    order: VerificationOrder
    step: str = ""
    at_seconds: float = 0.0
    steps: Steps[VerificationOrder] = field(init=False)

    def __post_init__(self) -> None:
        self.steps = Steps(self.order)

    def __call__(self, step: str, done: int, total: int) -> None:
        self.order.checked_count, self.order.total_count = done, total
        now = time.monotonic()
        if step == self.step and now - self.at_seconds < TELL_EVERY_SECONDS:
            return
        self.step, self.at_seconds = step, now
        VerificationOrder.objects.filter(pk=self.order.pk).update(checked_count=done, total_count=total)
        self.steps(step)


def _record_ended(order: VerificationOrder, *, actor: Actor | None = None) -> None:
    names = ("state", "outcome", "checked_count", "total_count", "finding_count")
    record(
        Act.VERIFICATION_ENDED,
        actor=actor or Actor(ActorKind(order.actor_kind), order.actor),
        subject=subject_of(order),
        reason=order.why,
        facts={"order": order.pk} | {name: getattr(order, name) for name in names},
    )


ORDERS = Kind(model=VerificationOrder, words=("evidence", "carry-out"), died=partial(_record_ended, actor=OPS))
