from argparse import ArgumentParser
from datetime import UTC, datetime

from console.actions import providers
from console.management.provider.arguments import add_json
from console.management.provider.printing import iso, say, say_json, told
from evidence.audit import Actor
from ingestion.provider_changes.errors import SecretNeeded

HELP = (
    "End one secret now. Refused when it was used in the last 24 hours or is the last valid one, unless with --force."
)


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("name")
    parser.add_argument("fingerprint", help="eight hex digits, as `provider show` prints them")
    parser.add_argument("--force", action="store_true", help="end it even if it is still needed")
    add_json(parser)


def run(*, name: str, fingerprint: str, force: bool, json: bool, **_: object) -> int:
    try:
        revoked = providers.revoke(
            actor=Actor.command_line(), name=name, fingerprint=fingerprint, force=force, now=datetime.now(UTC)
        )
    except SecretNeeded as refused:
        raise SecretNeeded(f"{refused}; --force ends it all the same") from None
    if json:
        last_used_at = iso(revoked.last_used_at)
        say_json({"provider": name, "fingerprint": revoked.fingerprint, "last_used_at": last_used_at})
        return 0
    say(f"revoked …{revoked.fingerprint} of {name}; last used {told(revoked.last_used_at, none='never')}")
    say("every ingress refuses it within about two seconds")
    return 0
