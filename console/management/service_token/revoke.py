from argparse import ArgumentParser
from datetime import UTC, datetime

from console.actions import service_tokens
from console.management.provider.printing import say
from evidence.audit import Actor

HELP = "End a token now. It cannot be made valid again, and its name is not given again."


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("name")


def run(*, name: str, **_: object) -> int:
    revoked = service_tokens.revoke(actor=Actor.command_line(), name=name, now=datetime.now(UTC))
    say(f"{name} is revoked" if revoked else f"{name} was revoked already")
    return 0
