from __future__ import annotations

from argparse import ArgumentParser

from console.actions import sign_in
from console.actions.operator import Operator
from console.management.provider.printing import say
from console.management.sign_in.arguments import add_by, user_named
from console.sign_in.locks import digest_of

HELP = "Let somebody sign in again who is locked out."


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("username")
    parser.add_argument("--address", help="only from there, as `sign_in locks` prints it; default: from everywhere")
    add_by(parser)


def run(*, username: str, address: str | None, by: str | None, **_: object) -> int:
    name = user_named(username).get_username()
    operator = Operator.command_line(by)
    lifted = sign_in.lift_lock(operator, digest=digest_of(name), username=name, address=address)
    say(f"{name} can sign in again" if lifted else f"{name} was not locked out")
    return 0
