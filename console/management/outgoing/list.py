from __future__ import annotations

from argparse import ArgumentParser

from console.management.provider.arguments import add_json
from console.management.provider.printing import iso, say, say_json
from evidence.models import Outgoing

HELP = "List messages to destinations, the oldest first; no body is shown."
LIMIT_COUNT = 1_000


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("--state", choices=Outgoing.State.values, default=Outgoing.State.DEAD.value)
    parser.add_argument("--destination", metavar="NAME")
    add_json(parser)


def run(*, state: str, destination: str | None, json: bool, **_: object) -> int:
    rows = Outgoing.objects.filter(state=state).select_related("destination").defer("body")
    if destination is not None:
        rows = rows.filter(destination__name=destination)
    told = [_told(row) for row in rows[:LIMIT_COUNT]]
    if json:
        say_json(told)
        return 0
    say(*(f"{row['number']}  {row['destination']}  {row['message_id']}  {row['error']}" for row in told))
    return 0


def _told(row: Outgoing) -> dict[str, object]:
    return {
        "number": row.pk,
        "destination": row.destination.name,
        "message_id": row.message_id,
        "ordering_key": row.ordering_key,
        "state": row.state,
        "attempt_count": row.attempt_count,
        "error": row.error,
        "created_at": iso(row.created_at),
    }
