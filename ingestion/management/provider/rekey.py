from argparse import ArgumentParser

from ingestion.management.provider.arguments import add_json
from ingestion.management.provider.printing import say, say_json
from ingestion.provider_changes.rekey import rekey_secrets

HELP = (
    "Encrypt every stored secret under the newest SECRET_KEY. Older keys stay readable from SECRET_KEY_FALLBACKS "
    "until this is done. Exit 1: a secret opens with none of the keys."
)


def add_arguments(parser: ArgumentParser) -> None:
    add_json(parser)


def run(*, json: bool, **_: object) -> int:
    report = rekey_secrets()
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
            say("SECRET_KEY_FALLBACKS is not needed for stored secrets any more")
    return 1 if report.unreadable else 0
