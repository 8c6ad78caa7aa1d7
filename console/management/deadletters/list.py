from argparse import ArgumentParser
from datetime import datetime

from console.management.deadletters.arguments import (
    LIST_LIMIT_COUNT,
    add_filters,
    add_json,
    add_limit,
    add_place,
    wanted,
)
from console.management.deadletters.printing import letter_json, letter_line
from console.management.provider.printing import say, say_json
from console.set_aside.kinds import KINDS
from ingestion.models import SetAsideState
from ingestion.redrive.place import SetAside

HELP = "List letters, newest first."


def add_arguments(parser: ArgumentParser) -> None:
    add_place(parser)
    parser.add_argument("--state", choices=SetAsideState.values, help="default: every state")
    add_filters(parser)
    add_limit(parser, default=50, at_most=LIST_LIMIT_COUNT)
    add_json(parser)


def run(
    *,
    place: str,
    state: str | None,
    provider: str | None,
    error: str | None,
    since: datetime | None,
    limit: int,
    json: bool,
    **_: object,
) -> int:
    kind = KINDS[SetAside(place)]
    condition = wanted(kind.place, state=state, provider=provider, error=error, since=since)
    found = list(kind.rows.filter(condition).order_by("-pk")[: limit + 1])
    shown, has_more = found[:limit], len(found) > limit
    if json:
        say_json({"place": kind.place.value, "letters": [letter_json(row) for row in shown], "has_more": has_more})
        return 0
    say(*map(letter_line, shown))
    say(f"{kind.counted(len(shown))}{'; there are more: raise --limit' if has_more else ''}")
    return 0
