from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from console.management.deadletters.arguments import add_json
from console.management.provider.printing import iso, say, say_json, told
from console.publications import STATES, sentence
from evidence.models import Publication

HELP = "List what was to be published to the central endpoint, the newest wish first, and what became of it."
LIST_LIMIT_COUNT = 10_000


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("--state", choices=Publication.State.values, help="default: every state")
    add_json(parser)


def run(*, state: str | None, json: bool, **_: object) -> int:
    rows = Publication.objects.order_by("-asked_at", "-pk")
    found = list(rows.filter(state=state)[:LIST_LIMIT_COUNT] if state else rows[:LIST_LIMIT_COUNT])
    if json:
        say_json({"publications": [publication_json(row) for row in found]})
        return 0
    say(*map(publication_line, found), f"{len(found)} publication{'' if len(found) == 1 else 's'}")
    return 0


def publication_line(row: Publication) -> str:
    link = f"  {row.link}" if row.link else ""
    return f"{row.artifact_id}  {told(row.asked_at, none='')}  {STATES[row.state]}: {sentence(row)}{link}"


def publication_json(row: Publication) -> dict[str, Any]:
    return {
        "sha256": row.artifact_id,
        "endpoint": row.endpoint,
        "state": row.state,
        "link": row.link,
        "attempt_count": row.attempt_count,
        "next_attempt_at": iso(row.next_attempt_at),
        "error": row.error,
        "asked_by": row.asked_by,
        "asked_at": iso(row.asked_at),
        "published_at": iso(row.published_at),
    }
