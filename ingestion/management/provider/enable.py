from argparse import ArgumentParser

from ingestion.management.provider.printing import say
from ingestion.provider_changes.switch import switch_provider

HELP = "Switch a provider on."


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("name")


def run(*, name: str, **_: object) -> int:
    changed = switch_provider(name=name, enabled=True)
    say(f"{name} is enabled" if changed else f"{name} was enabled already")
    return 0
