from __future__ import annotations

from argparse import ArgumentParser

from console.actions.gates import end_dri
from console.actions.operator import Operator
from console.management.gate.arguments import gate_of
from console.management.provider.printing import say

HELP = "End the term of a gate's DRI: nobody decides until another is named."


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("gate")
    parser.add_argument("--reason", required=True, help="why; it goes into the audit log")
    parser.add_argument("--by", metavar="NAME", help="who asks, for the audit log; default: who runs this")


def run(*, gate: str, reason: str, by: str | None, **_: object) -> int:
    term = end_dri(Operator.command_line(by), gate_of(gate), reason=reason)
    say(f"{term.user.get_username()} is not the DRI of gate {gate} any more")
    return 0
