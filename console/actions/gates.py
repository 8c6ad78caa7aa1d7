"""Who answers for a gate, and what they decide. Refusals of decisions are on record too."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.contrib.auth import authenticate
from django.db import transaction
from django.http import HttpRequest

from console.access import Permission
from console.actions.operator import Operator, check
from console.actions.sign_in import prove
from console.sign_in import factor
from console.sign_in.factor import CodeRefused
from console.sign_in.locks import was_refused
from console.sign_in.openid import proof
from evidence.audit import Act, Actor, record
from evidence.decisions import approve as second
from evidence.decisions import decide, dri
from evidence.decisions.decide import RollbackPlan
from evidence.decisions.dri import open_term
from evidence.decisions.errors import DecisionRefused
from evidence.models import Approval, Bundle, Decision, DriTerm, Gate

FACTOR_MISSING = (
    "deciding takes a second factor here, and you have none: enrol one (your name at the bottom of the sidebar, "
    "Second factor), then decide again"
)


class PasswordWrong(DecisionRefused):
    """Whoever decides says once more who they are, and did not."""

    code = "password_wrong"


class SecondFactorRefused(DecisionRefused):
    """Code and passkey are missing or wrong, or there is no factor where SECOND_FACTOR wants one of whoever decides."""

    code = "second_factor_refused"


def reauthenticated(
    username: str, password: str, *, gate: Gate, code: str = "", passkey: str = "", request: HttpRequest | None = None
) -> Any:
    """As `known_again`, with each refusal on record."""
    with _on_record(Actor.command_line(username[:150]), gate):
        return known_again(username, password, code=code, passkey=passkey, request=request)


def known_again(
    username: str, password: str, *, code: str = "", passkey: str = "", request: HttpRequest | None = None
) -> Any:
    """The active user of this name and password, and of this code or passkey where they enrolled a second factor. A
    fresh sign-in at the identity provider (console/sign_in/openid/proof.py) stands for an empty password, on a page.

    `request`: of a page; its failures count as failed sign-ins. Raises PasswordWrong, SecondFactorRefused: whoever
    calls it puts them on record.
    """
    user = _vouched_for(username, password, request) or authenticate(request, username=username, password=password)
    if user is None or not user.is_staff:
        locked = "; too many failures: try again in an hour" if was_refused(request) else ""
        raise PasswordWrong(f"the password is wrong, or the user is not an active one of the console{locked}")
    if factor.lacks(user):
        raise SecondFactorRefused(FACTOR_MISSING)
    if factor.is_on(user):
        try:
            prove(user, code, passkey=passkey, request=request)
        except CodeRefused as error:
            raise SecondFactorRefused(f"second factor: {error}") from error
    return user


def _vouched_for(username: str, password: str, request: HttpRequest | None) -> Any:
    """Who gave no password, and signed in at the identity provider just now instead; None where nobody did."""
    if request is None or password or request.user.get_username() != username or not proof.take(request):
        return None
    return request.user


def assign_dri(operator: Operator, gate: Gate, *, username: str, reason: str) -> DriTerm:
    """Raises RefusalRecorded, DriRefused."""
    check(operator, Permission.DRI_ASSIGN, subject=_subject(gate))
    with transaction.atomic(durable=True):
        return dri.assign(gate, username=username, actor=operator.actor, reason=reason)


def hand_over(operator: Operator, gate: Gate, *, username: str, reason: str) -> DriTerm:
    """The domain asks whether it is the DRI who hands over. Raises DriRefused."""
    with transaction.atomic(durable=True):
        return dri.hand_over(gate, username=username, actor=operator.actor, reason=reason)


def end_dri(operator: Operator, gate: Gate, *, reason: str) -> DriTerm:
    """By whoever may assign one, or by the DRI. Raises RefusalRecorded, DriRefused."""
    term = open_term(gate)
    if term is None or term.user.get_username() != operator.actor.name:
        check(operator, Permission.DRI_ASSIGN, subject=_subject(gate))
    with transaction.atomic(durable=True):
        return dri.end(gate, actor=operator.actor, reason=reason)


def decide_go(user: Any, gate: Gate, bundle: Bundle, *, reason: str, plan: RollbackPlan) -> Decision:
    """Raises DecisionRefused, on record."""
    with _on_record(Actor.person(user), gate):
        return decide.decide_go(gate, bundle, user=user, reason=reason, plan=plan)


def decide_no_go(user: Any, gate: Gate, *, reason: str, bundle: Bundle | None = None) -> Decision:
    """Raises DecisionRefused, on record."""
    with _on_record(Actor.person(user), gate), transaction.atomic(durable=True):
        return decide.decide_no_go(gate, user=user, reason=reason, bundle=bundle)


def approve(user: Any, decision: Decision, *, reason: str = "") -> Approval:
    """Raises DecisionRefused, on record; RefusalRecorded for whoever is nobody's second person."""
    check(Operator.signed_in(user), Permission.DECISION_APPROVE, subject=_subject(decision.gate))
    with _on_record(Actor.person(user), decision.gate):
        return second.approve(decision, user=user, reason=reason)


@contextmanager
def _on_record(actor: Actor, gate: Gate) -> Iterator[None]:
    try:
        yield
    except DecisionRefused as error:
        facts = {"gate": gate.name, "code": error.code}
        with transaction.atomic(durable=True):  # what is raised again must not take the entry with it
            record(Act.DECISION_REFUSED, actor=actor, subject=_subject(gate), reason=str(error)[:500], facts=facts)
        raise


def _subject(gate: Gate) -> str:
    return f"gate {gate.name}"
