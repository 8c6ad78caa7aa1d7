from argparse import ArgumentParser

from ingestion.management.provider.printing import say
from ingestion.provider_changes.switch import switch_provider

HELP = "Switch a provider off: what it sends is answered 403 and not stored."


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("name")


def run(*, name: str, **_: object) -> int:
    changed = switch_provider(name=name, enabled=False)
    say(f"{name} is disabled" if changed else f"{name} was disabled already")
    return 0
