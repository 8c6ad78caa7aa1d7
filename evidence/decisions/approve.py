"""The second person: a GO holds from then on, for as long as nothing that it is bound to changes."""

from __future__ import annotations

from typing import Any

from django.db import IntegrityError, transaction

from autocom.kernel.clock import SYSTEM_CLOCK, datetime_of
from evidence.audit import Act, Actor, record
from evidence.decisions.binding import decidable
from evidence.decisions.dri import open_term
from evidence.decisions.errors import DecisionRefused
from evidence.decisions.running import running
from evidence.decisions.standing_go import why_another
from evidence.gates.freeze import frozen
from evidence.models import Approval, Decision, Gate


def approve(decision: Decision, *, user: Any, reason: str = "") -> Approval:
    """Raises DecisionRefused. What the GO is bound to is read again: it may have changed while it waited.

    The bundle is read before the transaction: the store may be far away, and the row of a decision never changes.
    """
    is_as_decided = decision.bundle is not None and decidable(decision.bundle).binding == decision.binding
    with transaction.atomic(durable=True):
        Gate.objects.select_for_update().get(pk=decision.gate_id)
        decision = Decision.objects.select_related("gate", "spec", "bundle", "dri").get(pk=decision.pk)
        _refuse(decision, user, is_as_decided=is_as_decided)
        entry = record(
            Act.DECISION_APPROVED,
            actor=Actor.person(user),
            subject=f"gate {decision.gate.name}",
            reason=reason.strip(),
            facts={
                "gate": decision.gate.name,
                "run_id": decision.run_id,
                "decision_entry": decision.audit_number,
                "binding_sha256": decision.binding_sha256,
            },
        )
        try:
            return Approval.objects.create(
                decision=decision,
                dri=decision.dri,
                approver=user,
                reason=reason.strip(),
                approved_at=datetime_of(us=SYSTEM_CLOCK.now_us()),
                audit_number=entry.number,
            )
        except IntegrityError as error:
            raise DecisionRefused(
                "the decision has its second person already, or its DRI would be that person"
            ) from error


def _refuse(decision: Decision, user: Any, *, is_as_decided: bool) -> None:
    if decision.kind != Decision.Kind.GO or decision.bundle is None or decision.expires_at is None:
        raise DecisionRefused("only a GO needs a second person")
    if Approval.objects.filter(decision=decision).exists():
        raise DecisionRefused("the decision was approved already")
    term = open_term(decision.gate)
    if term is None or term.user_id != decision.dri_id:
        raise DecisionRefused("whoever said GO is not the DRI any more: the DRI has to decide anew")
    if user.pk == decision.dri_id:
        raise DecisionRefused("the DRI cannot be the second person")
    if Decision.objects.filter(gate=decision.gate, pk__gt=decision.pk).exists():
        raise DecisionRefused("a later decision stands")
    if datetime_of(us=SYSTEM_CLOCK.now_us()) >= decision.expires_at:
        raise DecisionRefused(f"the GO expired at {decision.expires_at:%Y-%m-%d %H:%M} UTC: run the gate again")
    newest = frozen(decision.gate.name)
    if newest is None or decision.spec is None or newest.pk != decision.spec.pk:
        raise DecisionRefused("the specification was frozen anew since: run the gate again")
    if not is_as_decided:
        raise DecisionRefused("the bundle is not the one that was decided on")
    if why := why_another(decision.binding, running()):
        raise DecisionRefused(f"{why}: run the gate again")
