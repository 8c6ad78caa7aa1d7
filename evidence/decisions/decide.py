"""The DRI says GO or NO-GO about a gate's bundle. A GO enables nothing until another person approves it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction

from autocom.kernel.clock import SYSTEM_CLOCK, datetime_of
from evidence.audit import Act, Actor, record
from evidence.decisions.binding import Decidable, decidable, digest_of_binding
from evidence.decisions.dri import DECIDE, open_term
from evidence.decisions.errors import DecisionRefused, NotPassed
from evidence.decisions.running import running
from evidence.decisions.standing_go import why_another
from evidence.gates.freeze import frozen
from evidence.gates.spec import GateSpec
from evidence.models import Bundle, Decision, FrozenSpec, Gate
from evidence.runs.folders import began_at

ROLLBACK_LIMIT_SECONDS = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class RollbackPlan:
    """How the service goes back to OBSERVER: on what, by which steps, by whom, within how many seconds."""

    trigger: str
    steps: str
    owner: str
    limit_seconds: int

    def checked(self) -> Mapping[str, object]:
        """Raises DecisionRefused for one that is not filled in."""
        told = {"trigger": self.trigger.strip(), "steps": self.steps.strip(), "owner": self.owner.strip()}
        if empty := sorted(name for name, value in told.items() if not value):
            raise DecisionRefused(f"the rollback plan is not filled in: {', '.join(empty)}")
        if not 0 < self.limit_seconds <= ROLLBACK_LIMIT_SECONDS:
            raise DecisionRefused(f"the rollback plan's limit has to be 1 to {ROLLBACK_LIMIT_SECONDS} seconds")
        return {**told, "limit_seconds": self.limit_seconds}


def decide_go(gate: Gate, bundle: Bundle, *, user: Any, reason: str, plan: RollbackPlan) -> Decision:
    """Waits for the second person afterwards. The bundle is read before the transaction: the store may be far away.

    Raises DecisionRefused, NotPassed.
    """
    told = decidable(bundle)
    with transaction.atomic(durable=True):
        Gate.objects.select_for_update().get(pk=gate.pk)
        _refuse_others(gate, user)
        spec, now = _frozen_spec(gate), _now()
        expires_at = go_until(bundle, spec)
        _refuse_unpassed(told, gate, bundle, spec, now=now, expires_at=expires_at)
        return _entered(
            gate,
            user=user,
            reason=reason,
            now=now,
            facts={
                "kind": Decision.Kind.GO,
                "spec": spec,
                "bundle": bundle,
                "run_id": bundle.run_id,
                "verdict": "PASS",
                "binding": dict(told.binding),
                "binding_sha256": digest_of_binding(told.binding),
                "rollback_plan": dict(plan.checked()),
                "expires_at": expires_at,
            },
        )


def decide_no_go(gate: Gate, *, user: Any, reason: str, bundle: Bundle | None = None) -> Decision:
    """Raises DecisionRefused."""
    with transaction.atomic():
        Gate.objects.select_for_update().get(pk=gate.pk)
        _refuse_others(gate, user)
        told = {"bundle": bundle, "run_id": bundle.run_id, "verdict": bundle.verdict} if bundle else {}
        facts = {"kind": Decision.Kind.NO_GO, "spec": frozen(gate.name), **told}
        return _entered(gate, user=user, reason=reason, now=_now(), facts=facts)


def go_until(bundle: Bundle, spec: FrozenSpec) -> datetime:
    """A PASS is worth as many hours as its specification says, from the beginning of the run."""
    return began_at(bundle.run_id) + timedelta(hours=GateSpec.parse(spec.text.encode()).max_age_hours)


def _refuse_others(gate: Gate, user: Any) -> None:
    term = open_term(gate)
    if term is None:
        raise DecisionRefused(f"gate {gate.name} has no DRI: one has to be assigned before anything is decided")
    if term.user.pk != user.pk or not user.has_perm(DECIDE, gate):
        raise DecisionRefused(f"only the DRI of gate {gate.name} decides: that is {term.user.get_username()}")


def _frozen_spec(gate: Gate) -> FrozenSpec:
    found = frozen(gate.name)
    if found is None:
        raise DecisionRefused(f"no specification of gate {gate.name} was frozen")
    return found


def _refuse_unpassed(
    told: Decidable, gate: Gate, bundle: Bundle, spec: FrozenSpec, *, now: datetime, expires_at: datetime
) -> None:
    if bundle.gate != gate.name:
        raise DecisionRefused(f"the bundle is of gate {bundle.gate}")
    if told.verdict["verdict"] != "PASS" or bundle.verdict != "PASS":
        raise NotPassed(_not_passed(told.verdict))
    if told.binding["spec_sha256"] != spec.sha256:
        raise DecisionRefused(
            f"the run was judged by another text than version {spec.version} of gate {gate.name}, which is frozen now"
        )
    if now >= expires_at:
        raise DecisionRefused(f"the PASS expired at {expires_at:%Y-%m-%d %H:%M} UTC: run the gate again")
    if why := why_another(told.binding, running()):
        raise DecisionRefused(f"{why}: run the gate again")


def _not_passed(verdict: Mapping[str, Any]) -> str:
    wrong = [str(each["name"]) for each in verdict["criteria"] if each["outcome"] != "PASS"]
    more = [*wrong, *(f"{path} is missing" for path in verdict["missing"]), *verdict["doubts"]]
    return (
        f"the verdict is {verdict['verdict']}, and a GO needs PASS: {'; '.join(more)}. It cannot be overridden: "
        "only another run can pass, or a new version of the specification, which everybody sees"
    )


def _entered(gate: Gate, *, user: Any, reason: str, now: datetime, facts: Mapping[str, Any]) -> Decision:
    if not reason.strip():
        raise DecisionRefused("say why: the reason goes into the audit log")
    told = {name: str(facts[name]) for name in ("kind", "run_id", "verdict", "binding_sha256") if facts.get(name)}
    entry = record(
        Act.DECISION_MADE,
        actor=Actor.person(user),
        subject=f"gate {gate.name}",
        reason=reason.strip(),
        facts={"gate": gate.name, **told, "rollback_plan": facts.get("rollback_plan", {})},
    )
    return Decision.objects.create(
        gate=gate, dri=user, reason=reason.strip(), decided_at=now, audit_number=entry.number, **facts
    )


def _now() -> datetime:
    return datetime_of(us=SYSTEM_CLOCK.now_us())
