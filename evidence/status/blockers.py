"""What stands in the way, each with who can take it away. Pure: of a standing alone."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from evidence.status.dependencies import Health
from evidence.status.gate_status import GateStatus
from evidence.status.standing import ASSIGN, FREEZE, LOWER, RETRY, Standing

PASS = "PASS"  # noqa: S105 - a verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class Blocker:
    what: str
    owner: str
    about: str


def blockers(standing: Standing) -> list[Blocker]:
    return [*_of_gates(standing), *_of_mode(standing), *_of_operation(standing), *_of_dependencies(standing)]


def _of_gates(standing: Standing) -> Iterator[Blocker]:
    if standing.gates.value is None:
        yield Blocker(what=f"the gates are UNKNOWN: {standing.gates.why}", owner=standing.holders(LOWER), about="gates")
    for gate in standing.gates.value or ():
        if not gate.spec.grants:  # a gate whose GO enables nothing blocks nothing
            continue
        about, dri = f"gate {gate.spec.name}", owner_of(gate, standing)
        if not gate.dri:
            yield Blocker(what="it has no DRI", owner=standing.holders(ASSIGN), about=about)
        if not gate.is_frozen:
            what = f"version {gate.spec.version} of its specification is not frozen"
            yield Blocker(what=what, owner=standing.holders(FREEZE), about=about)
        for what in _of_bundle(gate):
            yield Blocker(what=what, owner=dri, about=about)


def owner_of(gate: GateStatus, standing: Standing) -> str:
    return gate.dri or f"nobody: {gate.spec.name} has no DRI ({standing.holders(ASSIGN)} can name one)"


def _of_bundle(gate: GateStatus) -> Iterator[str]:
    if gate.bundle is None:
        yield "no bundle was made: its verdict is UNKNOWN"
        return
    told = gate.verdict.value
    if told is None:
        yield f"its newest bundle cannot be read: {gate.verdict.why}"
        return
    for each in told["criteria"]:
        if each["outcome"] != PASS:
            reason = f": {each['reason']}" if each.get("reason") else ""
            yield f"criterion {each['name']} is {each['outcome']}{reason}"
    yield from (f"{path} is missing in run {gate.bundle.run_id}" for path in told["missing"])
    yield from (f"doubt about run {gate.bundle.run_id}: {doubt}" for doubt in told["doubts"])
    if gate.is_go and gate.approver and gate.why_go_fails:
        yield f"its GO does not hold: {gate.why_go_fails}"


def _of_mode(standing: Standing) -> Iterator[Blocker]:
    if standing.mode.why_not:
        yield Blocker(what=standing.mode.why_not, owner=standing.holders(LOWER), about="mode")


def _of_operation(standing: Standing) -> Iterator[Blocker]:
    """What cannot be counted is a blocker too: silence is no good news."""
    operators = standing.holders(LOWER)
    counts = (
        ("dead letters", "open dead letters wait for a person", standing.open_dead_letters, standing.holders(RETRY)),
        ("promises", "broken promises are open", standing.broken_promises, operators),
    )
    for about, said, asked, owner in counts:
        if asked.value is None:
            yield Blocker(what=f"UNKNOWN: {asked.why}", owner=owner, about=about)
        elif asked.value:
            yield Blocker(what=f"{asked.value:,} {said}", owner=owner, about=about)
    if standing.alerts.value is None:
        yield Blocker(what=f"UNKNOWN: {standing.alerts.why}", owner=operators, about="alerts")
    for alert in standing.alerts.value or ():
        about = f"alert {alert.kind} of {alert.subject}"
        yield Blocker(what=f"{alert.summary} (seen {alert.seen_count:,} times)", owner=operators, about=about)
    for budget in standing.budgets.value or ():
        if budget.is_frozen:
            yield Blocker(
                what="its error budget is spent and frozen", owner=operators, about=f"objective {budget.name}"
            )


def _of_dependencies(standing: Standing) -> Iterator[Blocker]:
    for each in standing.dependencies:
        if each.health is not Health.OK:
            yield Blocker(what=f"{each.health}: {each.said}", owner=standing.holders(LOWER), about=each.name)
