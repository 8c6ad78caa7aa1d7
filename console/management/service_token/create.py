from __future__ import annotations

from argparse import ArgumentParser
from datetime import UTC, datetime, timedelta

from console.actions import service_tokens
from console.management.provider.arguments import add_json, length
from console.management.provider.printing import iso, say, say_json, told
from console.service_tokens.make import LIFE_LIMIT, MadeToken
from console.service_tokens.scopes import Scope
from evidence.audit import Actor

HELP = "Make a token and show it, this once."


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("name", help="who acts with it, in the audit log: such as ci-evidence")
    parser.add_argument(
        "--scope", dest="scopes", action="append", required=True, choices=[*Scope], help="may be repeated"
    )
    parser.add_argument(
        "--for", dest="life", type=length, default=LIFE_LIMIT, help="90d (the default and the limit), 7d"
    )
    add_json(parser)


def run(*, name: str, scopes: list[str], life: timedelta, json: bool, **_: object) -> int:
    wanted = [Scope(scope) for scope in scopes]
    made = service_tokens.create(actor=Actor.command_line(), name=name, scopes=wanted, life=life, now=datetime.now(UTC))
    say_made(made, json=json)
    return 0


def say_made(made: MadeToken, *, json: bool) -> None:
    """The only time that the token is shown."""
    token = made.token
    if json:
        say_json({"name": token.name, "token": made.text, "scopes": token.scopes, "expires_at": iso(token.expires_at)})
        return
    say(f"{token.name}: {', '.join(token.scopes)}, until {told(token.expires_at, none='never')}")
    say("this is the only time that it is shown:", made.text)
