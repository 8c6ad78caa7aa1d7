from __future__ import annotations

from argparse import ArgumentParser

from console.actions.freeze_gate import freeze_gate
from console.actions.operator import Operator
from console.management.errors import UsageWrong
from console.management.provider.printing import say, say_json
from evidence.gates.freeze import ReasonMissing
from evidence.gates.spec import GateUnknown

HELP = "Freeze a gate's specification: an entry of the audit log, which must come before the run that is judged by it."


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("gate")
    parser.add_argument("--reason", required=True, help="why; it goes into the audit log")
    parser.add_argument("--by", metavar="NAME", help="who asks, for the audit log; default: who runs this")
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of text")


def run(*, gate: str, reason: str, by: str | None, json: bool, **_: object) -> int:
    try:
        frozen = freeze_gate(Operator.command_line(by), gate, reason=reason)
    except (GateUnknown, ReasonMissing) as error:
        raise UsageWrong(str(error)) from error
    if json:
        entry = {"gate": gate, "version": frozen.version, "sha256": frozen.sha256, "audit_entry": frozen.audit_number}
        say_json(entry)
    else:
        say(
            f"gate {gate} version {frozen.version} is frozen: audit entry {frozen.audit_number}",
            f"  SHA-256 of its text {frozen.sha256}",
        )
    return 0
