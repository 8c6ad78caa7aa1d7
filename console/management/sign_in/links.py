from __future__ import annotations

from argparse import ArgumentParser

from console.management.provider.arguments import add_json
from console.management.provider.printing import iso, say, say_json, told
from console.management.sign_in.arguments import user_named
from console.models import IdentityLink
from console.sign_in.openid import links

HELP = "List who may sign in at an identity provider, as which subject, last used when."


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("username", nargs="?", help="only of this person")
    add_json(parser)


def run(*, username: str | None, json: bool, **_: object) -> int:
    rows = list(links.links(user=user_named(username) if username else None))
    if json:
        say_json({"links": [_told(row) for row in rows]})
        return 0
    for row in rows:
        used = told(row.last_used_at, none="never")
        say(f"{row.user.get_username()}  {row.subject}  at {row.issuer}  last used {used}")
    if not rows:
        say("nobody is linked")
    return 0


def _told(row: IdentityLink) -> dict[str, object]:
    return {
        "user": row.user.get_username(),
        "subject": row.subject,
        "issuer": row.issuer,
        "linked_at": iso(row.linked_at),
        "last_used_at": iso(row.last_used_at),
    }
