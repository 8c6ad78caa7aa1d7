from argparse import ArgumentParser
from datetime import datetime

from console.management.deadletters.arguments import add_filters, add_json, add_limit, wanted
from console.management.deadletters.printing import visible
from console.management.provider.printing import iso, say, say_json, told
from ingestion.models import DeadLetter, SetAsideState
from ingestion.redrive.place import SetAside
from ingestion.redrive.selectors import ErrorGroup, error_groups

HELP = "Group dead letters that failed alike, largest group first."
EVERY_STATE = "all"


def add_arguments(parser: ArgumentParser) -> None:
    states = [*SetAsideState.values, EVERY_STATE]
    parser.add_argument("--state", choices=states, default=SetAsideState.OPEN.value, help="default: open")
    add_filters(parser)
    add_limit(parser, default=100, at_most=1_000)
    add_json(parser)


def run(
    *,
    state: str,
    provider: str | None,
    error: str | None,
    since: datetime | None,
    limit: int,
    json: bool,
    **_: object,
) -> int:
    of_state = None if state == EVERY_STATE else state
    condition = wanted(SetAside.DEAD_LETTER, state=of_state, provider=provider, error=error, since=since)
    groups = error_groups(DeadLetter.objects.filter(condition), limit_count=limit)
    if json:
        say_json({"groups": [_json(group) for group in groups]})
        return 0
    for group in groups:
        say(f"{group.fingerprint}  {group.count:>7,}  {visible(group.error_class)}: {visible(group.error)[:160]}")
        times = f"first {told(group.first_dead_at, none='')}  last {told(group.last_dead_at, none='')}"
        say(f"  {times}  newest {group.example}")
    say(f"{len(groups)} groups")
    return 0


def _json(group: ErrorGroup) -> dict[str, object]:
    return {
        "fingerprint": group.fingerprint,
        "error_class": group.error_class,
        "error": group.error,
        "count": group.count,
        "first_dead_at": iso(group.first_dead_at),
        "last_dead_at": iso(group.last_dead_at),
        "example": str(group.example),
    }
