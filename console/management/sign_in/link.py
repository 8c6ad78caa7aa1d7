from __future__ import annotations

from argparse import ArgumentParser
from datetime import UTC, datetime

from console.actions import openid
from console.management.provider.printing import say
from console.management.sign_in.arguments import add_by, user_named
from evidence.audit import Actor

HELP = "Let somebody in who signs in at the identity provider of OIDC_ISSUER. They get nothing that the user has not."


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("username")
    parser.add_argument(
        "--subject", required=True, help="who they are there, as the refused sign-in and the audit log say it"
    )
    add_by(parser)


def run(*, username: str, subject: str, by: str | None, **_: object) -> int:
    user = user_named(username)
    name = user.get_username()
    linked = openid.link(user, subject=subject, actor=Actor.command_line(by), now=datetime.now(UTC))
    say(f"{name} can sign in there now" if linked else f"{name} was linked before")
    return 0
