"""Every change of the mode: the row with its MAC and its audit entry, in one transaction."""

from __future__ import annotations

from collections.abc import Mapping

from django.db import connection, transaction

from autocom.kernel.clock import SYSTEM_CLOCK, datetime_of
from evidence.audit import Act, Actor, record
from evidence.decisions.standing_go import why_go_does_not_hold
from evidence.errors import EvidenceError
from evidence.gates.spec import GateSpec
from evidence.mode_standing import mac_of, share_of, standing
from evidence.models import Decision, ModeChange
from evidence.modes import Mode

SCOPE_NAMES = frozenset({"share", "keys", "providers"})
LOCK = 0x6D6F6465  # "mode": one change at a time, as an advisory lock that ends with the transaction


class ModeNotRaised(EvidenceError):
    """The mode stays where it is; the message says what it would need."""

    code = "mode_not_raised"


class ModeUnchanged(EvidenceError):
    """That mode is in force already, and nothing was written."""

    code = "mode_unchanged"


def change_mode(
    to: Mode,
    *,
    cause: ModeChange.Cause,
    actor: Actor,
    reason: str,
    decision: Decision | None = None,
    scope: Mapping[str, object] | None = None,
) -> ModeChange:
    """Down always; up only by an approved GO that holds now and grants the mode.

    Raises ModeNotRaised, ModeUnchanged, AuditLogBusy, django.db.Error.
    """
    if not reason.strip():
        raise ModeNotRaised("say why the mode is changed: the reason goes into the audit log")
    with transaction.atomic():
        _lock()
        before, now = standing(), datetime_of(us=SYSTEM_CLOCK.now_us())
        wanted = _scope(to, before.scope if scope is None and to is Mode.LIMITED else scope or {})
        is_same = to is before.mode and dict(before.scope) == wanted and not before.why_not
        if is_same and cause is not ModeChange.Cause.DRILL:  # a drill is answered in OBSERVER too
            raise ModeUnchanged(f"the mode is {to} already")
        if to is Mode.OBSERVER:
            decision = None
        elif to.rank < before.mode.rank and before.change is not None:
            decision = before.change.decision  # less than it grants: nobody has to decide anew
        else:
            _refuse_raise(to, decision, scope=wanted)
        facts = {
            "from": before.mode.value,
            "to": to.value,
            "cause": str(cause),
            "scope": wanted,
            "decision_entry": decision.audit_number if decision else None,
        }
        entry = record(Act.MODE_CHANGED, actor=actor, subject=to.value, reason=reason.strip(), facts=facts)
        change = ModeChange(
            mode=to.value,
            previous=before.mode.value,
            scope=wanted,
            cause=str(cause),
            decision=decision,
            binding_sha256=decision.binding_sha256 if decision else "",
            actor_kind=actor.kind.value,
            actor=actor.name,
            reason=reason.strip(),
            changed_at=now,
            audit_number=entry.number,
        )
        change.mac = mac_of(change)
        change.save(force_insert=True)
        return change


def _lock() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [LOCK])


def _refuse_raise(to: Mode, decision: Decision | None, *, scope: Mapping[str, object]) -> None:
    if decision is None or decision.spec is None:
        raise ModeNotRaised(f"{to} needs an approved GO: only OBSERVER may be entered without")
    if to.value not in GateSpec.parse(decision.spec.text.encode()).grants:
        raise ModeNotRaised(f"a GO of this gate grants no {to}")
    if not decision.rollback_plan:
        raise ModeNotRaised("the GO has no rollback plan")
    if why := why_go_does_not_hold(decision, used_at=datetime_of(us=SYSTEM_CLOCK.now_us())):
        raise ModeNotRaised(why)
    if to is Mode.LIMITED and not scope:
        raise ModeNotRaised('LIMITED needs a scope: a share such as {"share": "0.05"}, or lists of keys or providers')


def _scope(to: Mode, scope: Mapping[str, object]) -> dict[str, object]:
    """As it is kept. Raises ModeNotRaised for one that says nothing, or that nobody would understand."""
    if to is not Mode.LIMITED:
        return {}
    if unknown := sorted(scope.keys() - SCOPE_NAMES):
        raise ModeNotRaised(f"a scope has share, keys and providers, and no {', '.join(unknown)}")
    if "share" in scope and not 0 < share_of(scope) <= 1:
        raise ModeNotRaised("a share is a number above 0 and at most 1, such as 0.05")
    for name in ("keys", "providers"):
        listed = scope.get(name, [])
        if not isinstance(listed, list) or not all(isinstance(each, str) and each for each in listed):
            raise ModeNotRaised(f"{name} is a list of texts")
    told = {**scope, **({"share": str(scope["share"])} if "share" in scope else {})}
    return {name: value for name, value in told.items() if value}
