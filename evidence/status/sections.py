"""The report's sections: sentences and tables, made of a standing alone. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from evidence.bundles.report import shown, told_age
from evidence.gates.confidence import Confidence
from evidence.status.asked import UNKNOWN, Asked
from evidence.status.asked_for import Step, steps
from evidence.status.blockers import blockers
from evidence.status.budgets import Budget
from evidence.status.dependencies import Health
from evidence.status.gate_status import GateStatus
from evidence.status.standing import Standing

CRITERIA = ("gate", "criterion", "outcome", "actual", "target", "margin", "age", "95 %", "source")


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    title: str
    said: Sequence[str] = ()
    heads: Sequence[str] = ()
    rows: Sequence[Sequence[str]] = ()


def sections(standing: Standing) -> list[Section]:
    """In the order in which a person who has two minutes reads them."""
    asked = steps(standing)
    return [
        Section(title="Summary", said=list(_summary(standing))),
        Section(title="Status and mode", said=list(_mode(standing))),
        Section(title="Evidence", said=list(_evidence(standing))),
        _blockers(standing),
        _criteria(standing),
        _budgets(standing.budgets),
        _dependencies(standing),
        _steps("Decisions asked for", [each for each in asked if each.is_decision], none="No decision is asked for."),
        _steps("Next steps", asked, none="No step is known to be next."),
    ]


def _summary(standing: Standing) -> Iterator[str]:
    gates = standing.gates.value
    if gates is None:
        yield f"The gates are UNKNOWN: {standing.gates.why}."
    for gate in gates or ():
        yield f"Gate {gate.spec.name}: {verdict_of(gate)}{_run_of(gate)}; {_decision(gate)}."
    yield f"The mode is {standing.mode.mode}."
    bad, unknown = (_count(standing, health) for health in (Health.BAD, Health.UNKNOWN))
    yield f"Of {len(standing.dependencies)} dependencies {bad} are bad and {unknown} unknown."
    yield f"Blockers: {len(blockers(standing))}. Decisions asked for: {sum(s.is_decision for s in steps(standing))}."


def _count(standing: Standing, health: Health) -> int:
    return sum(each.health is health for each in standing.dependencies)


def verdict_of(gate: GateStatus) -> str:
    """Of its newest bundle, from the bundle's own bytes."""
    return str(gate.verdict.value["verdict"]) if gate.verdict.value else UNKNOWN


def _run_of(gate: GateStatus) -> str:
    if gate.bundle is None:
        return " (no bundle was made)"
    return f" (run {gate.bundle.run_id})" if gate.verdict.value else f" ({gate.verdict.why})"


def _decision(gate: GateStatus) -> str:
    if gate.decision is None:
        return "nothing was decided"
    told = (
        f"{gate.decision.kind} of {gate.decision.decided_at:%Y-%m-%d %H:%M} UTC on {gate.decision.run_id or 'no run'}"
    )
    if not gate.is_go:
        return told
    if not gate.approver:
        return f"{told}, which no second person approved"
    return f"{told}, approved by {gate.approver}{f', does not hold: {gate.why_go_fails}' if gate.why_go_fails else ''}"


def _mode(standing: Standing) -> Iterator[str]:
    mode, change = standing.mode, standing.mode.change
    yield f"Read {standing.at:%Y-%m-%d %H:%M:%S} UTC. Build {standing.build}."
    if mode.why_not:
        yield f"The mode is {mode.mode}, because {mode.why_not}."
    if change is None:
        yield (
            f"The mode is {mode.mode}. No change of it is on record." if not mode.why_not else "Its record is UNKNOWN."
        )
        return
    yield (
        f"The newest change: {change.previous} to {change.mode} at {change.changed_at:%Y-%m-%d %H:%M:%S} UTC by "
        f"{change.actor} ({change.cause}): {change.reason}. Audit entry {change.audit_number}."
    )
    yield from (f"Scope: {name} {value}." for name, value in sorted(mode.scope.items()))


def _evidence(standing: Standing) -> Iterator[str]:
    for gate in standing.gates.value or ():
        name = f"Gate {gate.spec.name}"
        if gate.frozen is None:
            yield f"{name}: no specification was frozen."
        else:
            found, runs = gate.frozen, sum(gate.runs_since.values())
            told = ", ".join(f"{count} {verdict}" for verdict, count in sorted(gate.runs_since.items()))
            yield (
                f"{name}: version {found.version} was frozen {found.frozen_at:%Y-%m-%d %H:%M} UTC by {found.actor} "
                f"(audit entry {found.audit_number}); {runs} runs since{f': {told}' if told else ''}."
            )
        if gate.bundle is not None:
            yield (
                f"{name}: newest bundle {gate.bundle.artifact_id} of run {gate.bundle.run_id}, "
                f"made {gate.bundle.made_at:%Y-%m-%d %H:%M} UTC, by version {gate.bundle.gate_version}."
            )
    entries = standing.audit_entries
    yield f"The audit log has {_known(entries)} entries."


def _known(asked: Asked[int]) -> str:
    return f"{UNKNOWN} ({asked.why})" if asked.value is None else f"{asked.value:,}"


def _blockers(standing: Standing) -> Section:
    found = blockers(standing)
    return Section(
        title="Blockers",
        said=() if found else ("Nothing is known to stand in the way.",),
        heads=("about", "what", "owner") if found else (),
        rows=[(each.about, each.what, each.owner) for each in found],
    )


def _criteria(standing: Standing) -> Section:
    rows = [criterion_row(gate, each) for gate in standing.gates.value or () for each in gate.criteria]
    if not rows:
        return Section(title="Criteria", said=("UNKNOWN: no bundle tells of any criterion.",))
    return Section(title="Criteria", heads=CRITERIA, rows=rows)


def criterion_row(gate: GateStatus, told: Mapping[str, Any]) -> tuple[str, ...]:
    """A row below CRITERIA."""
    unit = told.get("unit", "")
    threshold = told.get("threshold")
    ageing = {each.name for each in gate.spec.criteria if each.max_age_hours is not None}
    reason = f" ({told['reason']})" if told.get("reason") else ""
    return (
        gate.spec.name,
        str(told["name"]),
        f"{told['outcome']}{reason}",
        _figure(told.get("actual"), unit),
        UNKNOWN if threshold is None else f"{told['operator']} {shown(threshold, unit)}",
        _figure(told.get("margin"), unit),
        told_age(told.get("age_hours"), may_age=str(told["name"]) in ageing),
        _at_95(told.get("at_95")),
        str(told.get("source", "")),
    )


def _figure(value: float | None, unit: str) -> str:
    return UNKNOWN if value is None else shown(value, unit)


def _at_95(told: Mapping[str, Any] | None) -> str:
    if told is None:
        return ""
    return Confidence(bad_count=told["bad"], count=told["count"], limit_count=told["limit"]).sentence


def _budgets(asked: Asked[Sequence[Budget]]) -> Section:
    if asked.value is None:
        return Section(title="Error budgets", said=(f"{UNKNOWN}: {asked.why}.",))
    heads = ("objective", "state", "left", "bad", "valid", "time unknown")
    return Section(title="Error budgets", heads=heads, rows=[_budget(each) for each in asked.value])


def _budget(budget: Budget) -> tuple[str, ...]:
    left = UNKNOWN if budget.remaining_pct is None else f"{budget.remaining_pct:.1f} %"
    state = f"{budget.state}, frozen" if budget.is_frozen else budget.state
    return budget.name, state, left, f"{budget.bad:,}", f"{budget.valid:,}", f"{budget.unknown_seconds / 3600:,.1f} h"


def _dependencies(standing: Standing) -> Section:
    rows = [(each.name, each.health.value, each.said) for each in standing.dependencies]
    return Section(title="Dependencies", heads=("dependency", "health", "what it says"), rows=rows)


def _steps(title: str, found: Sequence[Step], *, none: str) -> Section:
    rows = [(f"gate {each.gate}", each.what, each.owner, each.command) for each in found]
    return Section(
        title=title, said=() if rows else (none,), heads=("about", "what", "who", "how") if rows else (), rows=rows
    )
