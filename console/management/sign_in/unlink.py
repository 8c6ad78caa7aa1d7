from __future__ import annotations

from argparse import ArgumentParser

from console.actions import openid
from console.management.provider.printing import say
from console.management.sign_in.arguments import add_by, user_named
from evidence.audit import Actor

HELP = "Take back a link, or all of a person. Sessions go on: `sign_in end-sessions` ends them."


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("username")
    parser.add_argument("--subject", help="only this one; default: all, of every issuer")
    add_by(parser)


def run(*, username: str, subject: str | None, by: str | None, **_: object) -> int:
    user = user_named(username)
    count = openid.unlink(user, subject=subject, actor=Actor.command_line(by))
    say(f"{count} unlinked")
    return 0
