from __future__ import annotations

from argparse import ArgumentParser

from console.actions import destinations
from console.actions.operator import Operator
from console.management.deadletters.discard import reason as given_reason
from console.management.provider.printing import say

HELP = "Remove it with its settled messages. Exit 1: there are others."


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("name")
    parser.add_argument("--reason", required=True, type=given_reason, help="why; it goes into the audit log")
    parser.add_argument("--by", metavar="NAME", help="for the audit log (default: who runs this)")


def run(*, name: str, reason: str, by: str | None, **_: object) -> int:
    destinations.remove(Operator.command_line(by), name, reason=reason)
    say(f"{name}: removed")
    return 0
