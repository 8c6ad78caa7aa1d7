from __future__ import annotations

from argparse import ArgumentParser
from datetime import UTC, datetime

from console.management.provider.arguments import add_json
from console.management.provider.printing import iso, say, say_json, told
from console.models import ServiceToken

HELP = "List the tokens: scopes, who made each, until when, last used. Never the token itself."


def add_arguments(parser: ArgumentParser) -> None:
    add_json(parser)


def run(*, json: bool, **_: object) -> int:
    now = datetime.now(UTC)
    rows = ServiceToken.objects.all()
    if json:
        say_json({"tokens": [_told(token, now=now) for token in rows]})
        return 0
    for token in rows:
        say(
            f"{token.name}  {token.token_id}  {state(token, now=now)}  {', '.join(token.scopes)}  by {token.created_by}"
            f"  until {told(token.expires_at, none='never')}  last used {_day(token.last_used_at)}"
        )
    return 0


def state(token: ServiceToken, *, now: datetime) -> str:
    if token.revoked_at is not None:
        return "revoked"
    if token.expires_at <= now:
        return "expired"
    return "valid" if token.replaced_at is None else "replaced"


def _day(at: datetime | None) -> str:
    return "never" if at is None else f"{at:%Y-%m-%d}"


def _told(token: ServiceToken, *, now: datetime) -> dict[str, object]:
    return {
        "name": token.name,
        "id": token.token_id,
        "state": state(token, now=now),
        "scopes": token.scopes,
        "created_by": token.created_by,
        "created_at": iso(token.created_at),
        "expires_at": iso(token.expires_at),
        "last_used_at": iso(token.last_used_at),
        "replaced_at": iso(token.replaced_at),
        "revoked_at": iso(token.revoked_at),
    }
