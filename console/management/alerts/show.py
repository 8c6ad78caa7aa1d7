from __future__ import annotations

from argparse import ArgumentParser
from collections.abc import Iterator

from console.alert_kinds import KINDS
from console.api.v1.operations import alert_json
from console.management.alerts.list import line_of
from console.management.errors import UsageWrong
from console.management.provider.arguments import add_json
from console.management.provider.printing import iso, say, say_json, told
from console.shown import visible
from evidence.alert_reads import told_of
from evidence.models import Alert, Outgoing

HELP = "One alert: its figures, what to do, and what became of telling others."


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("number", type=int, help="as `alerts list` prints it")
    add_json(parser)


def run(*, number: int, json: bool, **_: object) -> int:
    row = Alert.objects.filter(pk=number).first()
    if row is None:
        raise UsageWrong(f"there is no alert {number}: `manage.py alerts list --state all` names them")
    messages = list(told_of([row]))
    if json:
        say_json({**alert_json(row), "told": [_message_json(each) for each in messages]})
    else:
        say(*_lines(row, messages))
    return 0


def _lines(row: Alert, messages: list[Outgoing]) -> Iterator[str]:
    yield line_of(row)
    yield f"  last seen {told(row.last_seen_at, none='')}, {row.seen_count:,} times"
    yield from (visible(f"  {name.replace('_', ' ')}: {value}") for name, value in row.facts.items())
    if advice := KINDS.get(row.kind):
        yield f"  do: {advice.next_step} ({advice.guide})"
    for each in messages:
        yield f"  {each.destination.name}: {each.state} {told(each.settled_at, none='')}".rstrip()


def _message_json(message: Outgoing) -> dict[str, object]:
    return {
        "destination": message.destination.name,
        "message_id": message.message_id,
        "state": message.state,
        "settled_at": iso(message.settled_at),
    }
