from __future__ import annotations

from argparse import ArgumentParser
from pathlib import Path

from console.actions.gates import decide_go, decide_no_go
from console.management.errors import UsageWrong
from console.management.gate.arguments import add_person, gate_of, person
from console.management.provider.printing import say, say_json, told
from evidence.decisions.decide import ROLLBACK_LIMIT_SECONDS, RollbackPlan
from evidence.models import Bundle, Decision, Gate

HELP = "The DRI says GO, which a second person has to approve, or NO-GO. Exit 1: refused; a FAIL is never overridden."


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("gate")
    parser.add_argument("kind", choices=["GO", "NO-GO"])
    parser.add_argument("--reason", required=True, help="why; it goes into the audit log")
    parser.add_argument("--bundle", metavar="SHA256", help="what is decided on; default: the gate's newest bundle")
    parser.add_argument("--rollback-trigger", default="", help="GO: on what the service goes back to OBSERVER")
    parser.add_argument("--rollback-steps", default="", help="GO: by which steps")
    parser.add_argument("--rollback-owner", default="", help="GO: by whom")
    parser.add_argument("--rollback-seconds", type=int, default=ROLLBACK_LIMIT_SECONDS, help="GO: within how many")
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of text")
    add_person(parser)


def run(
    *,
    gate: str,
    kind: str,
    reason: str,
    bundle: str | None,
    rollback_trigger: str,
    rollback_steps: str,
    rollback_owner: str,
    rollback_seconds: int,
    json: bool,
    username: str,
    password_file: Path | None,
    code: str | None,
    **_: object,
) -> int:
    row = gate_of(gate)
    user = person(username, password_file, gate=row, code=code)
    found = _bundle(row, bundle)
    if kind == Decision.Kind.NO_GO:
        decision = decide_no_go(user, row, reason=reason, bundle=found)
    elif found is None:
        raise UsageWrong(f"gate {gate} has no bundle: `manage.py gate run {gate}` makes one")
    else:
        plan = RollbackPlan(
            trigger=rollback_trigger, steps=rollback_steps, owner=rollback_owner, limit_seconds=rollback_seconds
        )
        decision = decide_go(user, row, found, reason=reason, plan=plan)
    if json:
        say_json({"decision": decision.audit_number, "kind": decision.kind, "binding": decision.binding})
    else:
        say(*_lines(decision))
    return 0


def _bundle(gate: Gate, sha256: str | None) -> Bundle | None:
    rows = Bundle.objects.filter(gate=gate.name).order_by("-made_at")
    if sha256 is None:
        return rows.first()
    found = rows.filter(artifact_id=sha256).first()
    if found is None:
        raise UsageWrong(f"--bundle {sha256[:80]}: the evidence store has no such bundle of gate {gate.name}")
    return found


def _lines(decision: Decision) -> list[str]:
    lines = [f"{decision.kind} on gate {decision.gate.name}: audit entry {decision.audit_number}"]
    if decision.kind == Decision.Kind.GO:
        lines.append(
            f"  it enables nothing until another person approves it: `manage.py gate approve {decision.audit_number}`"
        )
        lines.append(f"  it expires at {told(decision.expires_at, none='')}")
    return lines
