from argparse import ArgumentParser

from console.actions import providers
from console.management.provider.arguments import add_json
from console.management.provider.printing import say, say_json
from evidence.audit import Actor

HELP = (
    "Encrypt every stored secret under the newest key: the first of PROVIDER_SECRETS_KEYS, or SECRET_KEY. "
    "Until this is done the older keys must stay in PROVIDER_SECRETS_KEYS or SECRET_KEY_FALLBACKS. "
    "Exit 1: a secret opens with none of the keys."
)


def add_arguments(parser: ArgumentParser) -> None:
    add_json(parser)


def run(*, json: bool, **_: object) -> int:
    report = providers.rekey(actor=Actor.command_line())
    if json:
        say_json(
            {
                "rekeyed_count": report.rekeyed_count,
                "current_count": report.current_count,
                "unreadable": list(report.unreadable),
            }
        )
    else:
        say(f"{report.rekeyed_count} encrypted anew, {report.current_count} were under the newest key already")
        say(*(f"! {name} opens with none of the keys: give it a new secret" for name in report.unreadable))
        if not report.unreadable:
            say("stored secrets do not need the older keys any more")
    return 1 if report.unreadable else 0
