from __future__ import annotations

from argparse import ArgumentParser
from datetime import UTC, datetime

from console.management.provider.arguments import add_json
from console.management.provider.printing import iso, say, say_json, told
from console.management.sign_in.arguments import user_named
from console.models import ConsoleSession
from console.sign_in.sessions import sessions

HELP = "List who is signed in, from where, since when. Never the sessions' keys."


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("username", nargs="?", help="only of this person")
    add_json(parser)


def run(*, username: str | None, json: bool, **_: object) -> int:
    rows = sessions(now=datetime.now(UTC), user=user_named(username) if username else None)
    if json:
        say_json({"sessions": [_told(row) for row in rows]})
        return 0
    for row in rows:
        say(
            f"{_name(row)}  {row.public_id}  from {row.address or 'UNKNOWN'}  since {told(row.since, none='UNKNOWN')}"
            f"  last used {iso(row.last_seen_at)}  by {row.factor or 'UNKNOWN'}"
        )
    if not rows:
        say("nobody is signed in")
    return 0


def _name(row: ConsoleSession) -> str:
    return str(row.user.get_username()) if row.user else ""


def _told(row: ConsoleSession) -> dict[str, object]:
    return {
        "user": _name(row),
        "id": str(row.public_id),
        "address": row.address,
        "since": iso(row.since),
        "last_used_at": iso(row.last_seen_at),
        "by": row.factor,
    }
