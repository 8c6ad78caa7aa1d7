from argparse import ArgumentParser

from console.actions import providers
from console.management.provider.printing import say
from evidence.audit import Actor

HELP = "Switch a provider off: nothing it sends is stored, and it is told to come again later (mostly by a 503)."


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("name")


def run(*, name: str, **_: object) -> int:
    changed = providers.switch(actor=Actor.command_line(), name=name, enabled=False)
    say(f"{name} is disabled" if changed else f"{name} was disabled already")
    return 0
