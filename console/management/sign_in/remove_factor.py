from __future__ import annotations

from argparse import ArgumentParser

from console.actions import sign_in
from console.management.provider.printing import say
from console.management.sign_in.arguments import add_by, user_named
from evidence.audit import Actor

HELP = (
    "Remove the second factor (app, passkeys, recovery codes) of somebody who lost it. "
    "A password is enough for them afterwards: know who asks."
)


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("username")
    add_by(parser)


def run(*, username: str, by: str | None, **_: object) -> int:
    user = user_named(username)
    removed = sign_in.remove_factor(user, actor=Actor.command_line(by))
    name = user.get_username()
    say(f"{name} has no second factor now" if removed else f"{name} had none")
    return 0
