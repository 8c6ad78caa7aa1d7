from __future__ import annotations

from argparse import ArgumentParser

from console.actions import destinations
from console.actions.operator import Operator
from console.management.provider.printing import say

HELP = "Send to it again, first what waits."


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("name")
    parser.add_argument("--by", metavar="NAME", help="for the audit log (default: who runs this)")


def run(*, name: str, by: str | None, **_: object) -> int:
    changed = destinations.switch(Operator.command_line(by), name, enabled=True)
    say(f"{name}: {'' if changed else 'was '}enabled")
    return 0
