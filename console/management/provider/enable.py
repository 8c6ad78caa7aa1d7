from argparse import ArgumentParser

from console.actions import providers
from console.management.provider.printing import say
from evidence.audit import Actor

HELP = "Switch a provider on."


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("name")


def run(*, name: str, **_: object) -> int:
    changed = providers.switch(actor=Actor.command_line(), name=name, enabled=True)
    say(f"{name} is enabled" if changed else f"{name} was enabled already")
    return 0
