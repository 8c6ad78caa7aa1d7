from argparse import ArgumentParser
from datetime import UTC, datetime

from console.actions import providers
from console.management.provider.arguments import add_json, add_secret_file, option, read_secret
from console.management.provider.printing import say, say_json, stored_json, stored_lines
from evidence.audit import Actor
from ingestion.providers.registry import ADAPTERS
from ingestion.receive import base_url

HELP = "Add a provider with its first secret: read from a file or standard input, or made here and shown once."


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("name", help="the last part of its URL: letters, digits, - and _")
    parser.add_argument("--scheme", required=True, help=f"how it signs: {', '.join(sorted(ADAPTERS))}")
    parser.add_argument(
        "--option", type=option, action="append", default=[], metavar="NAME=VALUE", help="of the scheme; repeatable"
    )
    add_secret_file(parser)
    add_json(parser)


def run(
    *,
    name: str,
    scheme: str,
    option: list[tuple[str, object]],  # the argument's name
    secret_file: str | None,
    json: bool,
    **_: object,
) -> int:
    added = providers.add(
        actor=Actor.command_line(),
        name=name,
        scheme=scheme,
        options=dict(option),
        secret=read_secret(secret_file),
        now=datetime.now(UTC),
    )
    address = f"{base_url()}/webhooks/{name}"
    if json:
        say_json({**stored_json(name, added.secret), "scheme": scheme, "url": address})
        return 0
    say(f"added {name} ({scheme}); it posts to {address}", *stored_lines(added.secret))
    say("every ingress takes it within about two seconds")
    return 0
