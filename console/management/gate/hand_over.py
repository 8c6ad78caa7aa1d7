from __future__ import annotations

from argparse import ArgumentParser
from pathlib import Path

from console.actions.gates import hand_over
from console.actions.operator import Operator
from console.management.gate.arguments import add_person, gate_of, person
from console.management.provider.printing import say

HELP = "The DRI of a gate names their successor."


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("gate")
    parser.add_argument("successor", help="a user of the console")
    parser.add_argument("--reason", required=True, help="why; it goes into the audit log")
    add_person(parser)


def run(
    *, gate: str, successor: str, reason: str, username: str, password_file: Path | None, code: str | None, **_: object
) -> int:
    row = gate_of(gate)
    user = person(username, password_file, gate=row, code=code)
    hand_over(Operator.signed_in(user), row, username=successor, reason=reason)
    say(f"{successor} is the DRI of gate {gate}")
    return 0
