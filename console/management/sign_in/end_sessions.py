from __future__ import annotations

from argparse import ArgumentParser
from datetime import UTC, datetime

from console.actions import sign_in
from console.actions.operator import Operator
from console.management.provider.printing import say
from console.management.sign_in.arguments import add_by, user_named

HELP = "End every session of a person, now. They can sign in again: a person who must not is made inactive."


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("username")
    add_by(parser)


def run(*, username: str, by: str | None, **_: object) -> int:
    user = user_named(username)
    ended = sign_in.end_sessions(Operator.command_line(by), now=datetime.now(UTC), user=user)
    say(f"{len(ended)} ended")
    return 0
