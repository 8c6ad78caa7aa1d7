from argparse import ArgumentParser
from typing import Any

from console.management.deadletters.acting import act
from console.management.deadletters.arguments import add_act
from console.set_aside.verbs import RETRY

HELP = "Send letters back to their lanes. Without --yes: only what would happen."
NAMES = ("ids", "place", "provider", "error", "since", "limit", "reason", "yes", "actor", "json")


def add_arguments(parser: ArgumentParser) -> None:
    add_act(parser)
    parser.add_argument("--reason", default="", help="for the audit log")


def run(**options: Any) -> int:
    return act(RETRY, **{name: options[name] for name in NAMES})
