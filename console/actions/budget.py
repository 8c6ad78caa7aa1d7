"""People write into the ledger of error budgets: an incident, and corrections by two of them."""

from __future__ import annotations

from datetime import datetime

from django.db import transaction
from django.http import HttpRequest

from autocom.kernel.clock import SYSTEM_CLOCK, datetime_of
from console.access import Permission
from console.actions.gates import PasswordWrong, SecondFactorRefused, known_again
from console.actions.operator import Operator, check
from evidence.audit import Act, Actor, record
from evidence.budget import corrections, incidents
from evidence.budget.corrections import Wanted
from evidence.models import BudgetEntry, CorrectionProposal


def annotate(operator: Operator, slo: str, *, window_from: datetime, window_to: datetime, reason: str) -> BudgetEntry:
    """Raises RefusalRecorded, SloUnknown, CorrectionRefused."""
    check(operator, Permission.BUDGET_ANNOTATE, subject=f"budget {slo}")
    return incidents.annotate(
        slo, window_from=window_from, window_to=window_to, reason=reason, actor=operator.actor, now=_now()
    )


def propose_correction(operator: Operator, wanted: Wanted) -> CorrectionProposal:
    """Raises RefusalRecorded, SloUnknown, CorrectionRefused."""
    check(operator, Permission.BUDGET_PROPOSE, subject=f"budget {wanted.slo} {wanted.account}")
    return corrections.propose(wanted, actor=operator.actor, now=_now())


def approve_correction(operator: Operator, number: int, *, reason: str = "") -> BudgetEntry:
    """Raises RefusalRecorded, ProposalUnknown, CorrectionRefused."""
    check(operator, Permission.BUDGET_APPROVE, subject=f"budget correction {number}")
    return corrections.approve(number, actor=operator.actor, now=_now(), reason=reason)


def reject_correction(operator: Operator, number: int, *, reason: str) -> CorrectionProposal:
    """Raises RefusalRecorded, ProposalUnknown, CorrectionRefused."""
    check(operator, Permission.BUDGET_APPROVE, subject=f"budget correction {number}")
    return corrections.reject(number, actor=operator.actor, now=_now(), reason=reason)


def decider(request: HttpRequest, *, number: int) -> Operator:
    """Whoever decides says once more who they are. Raises PasswordWrong, SecondFactorRefused, on record."""
    form, user = request.POST, request.user
    try:
        password, code, passkey = (form.get(name, "") for name in ("password", "code", "passkey"))
        again = known_again(user.get_username(), password, code=code, passkey=passkey, request=request)
        return Operator.signed_in(again)
    except (PasswordWrong, SecondFactorRefused) as error:
        with transaction.atomic(durable=True):  # what is raised again must not take the entry with it
            record(
                Act.DECISION_REFUSED,
                actor=Actor.person(user),
                subject=f"budget correction {number}",
                reason=str(error),
                facts={"code": error.code},
            )
        raise


def _now() -> datetime:
    return datetime_of(us=SYSTEM_CLOCK.now_us())
