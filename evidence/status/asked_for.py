"""Which decisions wait for whom, and what comes next for each gate. Pure: of a standing alone."""

from __future__ import annotations

from dataclasses import dataclass

from evidence.modes import Mode
from evidence.status.blockers import owner_of
from evidence.status.gate_status import GateStatus
from evidence.status.standing import APPROVE, ASSIGN, FREEZE, RAISE, Standing


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """`is_decision`: only people can take it. `command`: how, at the command line."""

    gate: str
    what: str
    owner: str
    command: str
    is_decision: bool


def steps(standing: Standing) -> list[Step]:
    """At most one for each gate that a GO can come of, and one for a DRI where there is none."""
    gates = [gate for gate in standing.gates.value or () if gate.spec.grants]
    return [step for gate in gates for step in (_dri(gate, standing), _next(gate, standing)) if step]


def _dri(gate: GateStatus, standing: Standing) -> Step | None:
    if gate.dri:
        return None
    what, command = "name its DRI", f"gate assign {gate.spec.name} USERNAME --reason …"
    return _step(gate, what, standing.holders(ASSIGN), command, is_decision=True)


def _next(gate: GateStatus, standing: Standing) -> Step | None:
    name, dri = gate.spec.name, owner_of(gate, standing)
    if not gate.is_frozen:
        what = f"freeze version {gate.spec.version} of its specification"
        return _step(gate, what, standing.holders(FREEZE), f"gate freeze {name} --reason …")
    if gate.is_go and not (gate.approver and gate.why_go_fails) and gate.is_decided:
        return _after_go(gate, standing)
    if gate.bundle is None or gate.verdict.value is None or not _is_fresh_pass(gate, standing):
        return _step(gate, _why_run(gate), dri, f"gate run {name}")
    if gate.is_decided:  # NO-GO on this very PASS, or a GO that holds no more
        return _step(gate, f"run it again: {_decided(gate)}", dri, f"gate run {name}")
    what = f"GO or NO-GO on the PASS of run {gate.bundle.run_id}, which is worth something until {_until(gate)}"
    return _step(gate, what, dri, f"gate decide {name} GO --as {gate.dri or 'DRI'} …", is_decision=True)


def _after_go(gate: GateStatus, standing: Standing) -> Step | None:
    decision = gate.decision
    assert decision is not None  # noqa: S101  (`is_go` says so)
    until = f"{decision.expires_at:%Y-%m-%d %H:%M} UTC" if decision.expires_at else "UNKNOWN"
    if decision.expires_at is None or standing.at >= decision.expires_at:
        return _step(gate, "run it again: its GO expired", owner_of(gate, standing), f"gate run {gate.spec.name}")
    if not gate.approver:
        what = f"a second person for the GO on run {decision.run_id}, other than {gate.dri or 'its DRI'}, until {until}"
        owner = standing.holders(APPROVE)
        return _step(gate, what, owner, f"gate approve {decision.audit_number} --as USERNAME", is_decision=True)
    if standing.mode.mode is not Mode.OBSERVER:
        return None
    what = f"raise the mode to {' or '.join(gate.spec.grants)} by the GO on run {decision.run_id}, until {until}"
    return _step(
        gate, what, standing.holders(RAISE), f"mode set … --decision {decision.audit_number} …", is_decision=True
    )


def _is_fresh_pass(gate: GateStatus, standing: Standing) -> bool:
    told, until = gate.verdict.value or {}, gate.pass_until
    return told.get("verdict") == "PASS" and until is not None and standing.at < until


def _why_run(gate: GateStatus) -> str:
    if gate.bundle is None:
        return "run it: no bundle was made"
    if gate.verdict.value is None:
        return f"run it again: its newest bundle cannot be read, {gate.verdict.why}"
    if gate.verdict.value["verdict"] != "PASS":
        return f"run it again once its blockers are gone: run {gate.bundle.run_id} is {gate.verdict.value['verdict']}"
    return f"run it again: the PASS of run {gate.bundle.run_id} was worth something until {_until(gate)}"


def _decided(gate: GateStatus) -> str:
    if gate.decision is None:
        return "nothing was decided"
    return gate.why_go_fails if gate.is_go else f"{gate.decision.kind} was said, {gate.decision.reason}"


def _until(gate: GateStatus) -> str:
    return f"{gate.pass_until:%Y-%m-%d %H:%M} UTC" if gate.pass_until else "UNKNOWN"


def _step(gate: GateStatus, what: str, owner: str, command: str, *, is_decision: bool = False) -> Step:
    told = f"manage.py {command}"
    return Step(gate=gate.spec.name, what=what, owner=owner, command=told, is_decision=is_decision)
