from __future__ import annotations

from argparse import ArgumentParser

from console.actions.gates import assign_dri
from console.actions.operator import Operator
from console.management.gate.arguments import gate_of
from console.management.provider.printing import say

HELP = "Name the DRI of a gate that has none. Nobody names themself."


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("gate")
    parser.add_argument("username", help="a user of the console")
    parser.add_argument("--reason", required=True, help="why; it goes into the audit log")
    parser.add_argument("--by", metavar="NAME", help="who asks, for the audit log; default: who runs this")


def run(*, gate: str, username: str, reason: str, by: str | None, **_: object) -> int:
    assign_dri(Operator.command_line(by), gate_of(gate), username=username, reason=reason)
    say(f"{username} is the DRI of gate {gate}")
    return 0
