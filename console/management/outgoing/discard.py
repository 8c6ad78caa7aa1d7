from __future__ import annotations

from argparse import ArgumentParser

from console.actions import outgoing
from console.actions.operator import Operator
from console.management.deadletters.discard import reason as given_reason
from console.management.provider.printing import say

HELP = "Give dead or withheld messages up. All or none. Exit 1: one is in another state."


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("numbers", nargs="+", type=int, metavar="NUMBER", help="as `outgoing list` prints them")
    parser.add_argument("--reason", required=True, type=given_reason, help="why; it goes into the audit log")
    parser.add_argument("--by", metavar="NAME", help="for the audit log (default: who runs this)")


def run(*, numbers: list[int], reason: str, by: str | None, **_: object) -> int:
    count = outgoing.discard(Operator.command_line(by), numbers, reason=reason)
    say(f"{count} messages: discard")
    return 0
