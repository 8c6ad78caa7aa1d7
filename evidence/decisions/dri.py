"""Who answers for a gate: one person at a time, whose right to decide is held on the gate's row.

Nobody makes themself DRI: another person assigns, or the DRI hands over.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.contrib.auth import get_user_model
from django.db import transaction
from guardian.shortcuts import assign_perm, remove_perm

from autocom.kernel.clock import SYSTEM_CLOCK, datetime_of
from evidence.audit import Act, Actor, record
from evidence.decisions.errors import DriRefused
from evidence.gates.spec import gate as spec_of
from evidence.models import DriTerm, Gate

DECIDE = "evidence.decide_gate"


def gate_row(name: str) -> Gate:
    """The row of a gate that the code ships. Raises GateUnknown."""
    return Gate.objects.get_or_create(name=spec_of(name).name)[0]


def open_term(gate: Gate) -> DriTerm | None:
    return DriTerm.objects.filter(gate=gate, until=None).select_related("user").first()


def current_dri(gate: Gate) -> Any | None:
    """The user, or None where nobody answers for the gate."""
    term = open_term(gate)
    return term.user if term else None


def assign(gate: Gate, *, username: str, actor: Actor, reason: str) -> DriTerm:
    """Where nobody is. Raises DriRefused."""
    with transaction.atomic():
        term, user = _locked_term(gate), _person(username)
        if term is not None:
            raise DriRefused(f"{term.user.get_username()} is the DRI of gate {gate.name}: end that first, or hand over")
        _refuse_self(actor, user)
        return _begin(gate, user, act=Act.DRI_ASSIGNED, actor=actor, reason=_given(reason))


def hand_over(gate: Gate, *, username: str, actor: Actor, reason: str) -> DriTerm:
    """By the DRI to somebody else; both terms meet in one moment. Raises DriRefused."""
    with transaction.atomic():
        term, user = _locked_term(gate), _person(username)
        if term is None or term.user.get_username() != actor.name:
            raise DriRefused(f"only the DRI of gate {gate.name} hands it over: {_told(term)}")
        _refuse_self(actor, user)
        _end(term, actor=actor, reason=_given(reason))
        return _begin(gate, user, act=Act.DRI_HANDED_OVER, actor=actor, reason=reason, before=actor.name)


def end(gate: Gate, *, actor: Actor, reason: str) -> DriTerm:
    """Nobody answers for the gate afterwards. Raises DriRefused."""
    with transaction.atomic():
        term = _locked_term(gate)
        if term is None:
            raise DriRefused(f"gate {gate.name} has no DRI")
        _end(term, actor=actor, reason=_given(reason))
        facts = {"gate": gate.name, "dri": term.user.get_username()}
        record(Act.DRI_ENDED, actor=actor, subject=f"gate {gate.name}", reason=reason, facts=facts)
        return term


def _locked_term(gate: Gate) -> DriTerm | None:
    Gate.objects.select_for_update().get(pk=gate.pk)
    return open_term(gate)


def _begin(gate: Gate, user: Any, *, act: Act, actor: Actor, reason: str, before: str = "") -> DriTerm:
    term = DriTerm.objects.create(gate=gate, user=user, since=_now(), assigned_by=actor.name, reason=reason)
    assign_perm(DECIDE, user, gate)
    facts = {"gate": gate.name, "dri": user.get_username(), **({"before": before} if before else {})}
    record(act, actor=actor, subject=f"gate {gate.name}", reason=reason, facts=facts)
    return term


def _end(term: DriTerm, *, actor: Actor, reason: str) -> None:
    term.until, term.ended_by, term.end_reason = _now(), actor.name, reason
    term.save(update_fields=["until", "ended_by", "end_reason"])
    remove_perm(DECIDE, term.user, term.gate)


def _person(username: str) -> Any:
    found = get_user_model().objects.filter(username=username, is_active=True, is_staff=True).first()
    if found is None:
        raise DriRefused(f"{username[:150]!r}: there is no active user of the console with this name")
    return found


def _refuse_self(actor: Actor, user: Any) -> None:
    if actor.name in (user.get_username(), f"os:{user.get_username()}"):
        raise DriRefused("nobody makes themself DRI: another person has to name them")


def _given(reason: str) -> str:
    if not reason.strip():
        raise DriRefused("say why: the reason goes into the audit log")
    return reason.strip()


def _told(term: DriTerm | None) -> str:
    return f"that is {term.user.get_username()}" if term else "there is none, and one has to be assigned"


def _now() -> datetime:
    return datetime_of(us=SYSTEM_CLOCK.now_us())
