from __future__ import annotations

from argparse import ArgumentParser

from console.actions import destinations
from console.actions.operator import Operator
from console.management.provider.arguments import add_json
from console.management.provider.printing import say, say_json
from evidence.sends import DestinationInvalid

HELP = "Add an address that is told of alerts, and show its signing secret, this once; mail has none."


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("name", help="such as on-call")
    parser.add_argument("address", help="https://host/path, or mailto:ops@example.com for alerts by mail")
    parser.add_argument(
        "--alerts", action="append", default=[], metavar="KIND", help="only this kind, such as lag; may be repeated"
    )
    parser.add_argument("--forward", action="store_true", help="forward accepted events; alerts only with --alerts")
    parser.add_argument("--provider", action="append", default=[], help="forward only its events; may be repeated")
    parser.add_argument(
        "--type",
        dest="event_types",
        metavar="TYPE",
        action="append",
        default=[],
        help="forward only this event type; may be repeated",
    )
    add_json(parser)


def run(
    *,
    name: str,
    address: str,
    alerts: list[str],
    forward: bool,
    provider: list[str],
    event_types: list[str],
    json: bool,
    **_: object,
) -> int:
    if (provider or event_types) and not forward:
        raise DestinationInvalid("--provider and --type choose what is forwarded: write --forward too")
    events = destinations.Forward(providers=provider, event_types=event_types) if forward else None
    secret = destinations.add(
        Operator.command_line(None), name=name, address=address, alert_kinds=alerts, forward=events
    )
    if json:
        say_json({"name": name, "address": address, "secret": secret})
        return 0
    if not secret:
        say(f"{name}: {address}", "mail is not signed: it has no secret")
        return 0
    say(f"{name}: {address}", "this is the only time that its signing secret is shown:", secret)
    return 0
