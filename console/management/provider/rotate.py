from argparse import ArgumentParser
from datetime import UTC, datetime, timedelta

from console.actions import providers
from console.management.provider.arguments import add_json, add_secret_file, length, moment, read_secret
from console.management.provider.printing import iso, say, say_json, stored_json, stored_lines, told
from evidence.audit import Actor
from ingestion.provider_changes.rotate import OVERLAP

HELP = "Give a provider a new secret. The older ones stay valid for the overlap, then end by themselves."


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("name")
    add_secret_file(parser)
    parser.add_argument("--overlap", type=length, default=OVERLAP, help="24h (the default), 30m, 7d or 0")
    parser.add_argument("--not-before", type=moment, help="the new secret is valid from here on; default: now")
    parser.add_argument("--not-after", type=moment, help="and until here; default: no end")
    add_json(parser)


def run(
    *,
    name: str,
    secret_file: str | None,
    overlap: timedelta,
    not_before: datetime | None,
    not_after: datetime | None,
    json: bool,
    **_: object,
) -> int:
    rotated = providers.rotate(
        actor=Actor.command_line(),
        name=name,
        secret=read_secret(secret_file),
        now=datetime.now(UTC),
        not_before=not_before,
        not_after=not_after,
        overlap=overlap,
    )
    if json:
        ending = [{"fingerprint": old.fingerprint, "not_after": iso(old.not_after)} for old in rotated.ending]
        say_json({**stored_json(name, rotated.secret), "ending": ending})
        return 0
    say(f"rotated {name}:", *stored_lines(rotated.secret))
    for old in rotated.ending:
        used = told(old.last_used_at, none="never")
        say(f"secret …{old.fingerprint} ends {told(old.not_after, none='never')}; last used {used}")
    say("every ingress takes it within about two seconds; change the sender after that")
    return 0
