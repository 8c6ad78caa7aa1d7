from __future__ import annotations

from argparse import ArgumentParser
from datetime import UTC, datetime, timedelta

from console.actions import service_tokens
from console.management.provider.arguments import add_json, length
from console.management.service_token.create import say_made
from console.service_tokens.make import LIFE_LIMIT, OVERLAP
from evidence.audit import Actor

HELP = "Give a program another secret and show it, this once. The one before stays good for the overlap."


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("name")
    parser.add_argument("--overlap", type=length, default=OVERLAP, help="24h (the default), 30m, 7d or 0")
    parser.add_argument(
        "--for", dest="life", type=length, default=LIFE_LIMIT, help="90d (the default and the limit), 7d"
    )
    add_json(parser)


def run(*, name: str, overlap: timedelta, life: timedelta, json: bool, **_: object) -> int:
    made = service_tokens.rotate(
        actor=Actor.command_line(), name=name, overlap=overlap, life=life, now=datetime.now(UTC)
    )
    say_made(made, json=json)
    return 0
