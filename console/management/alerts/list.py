from __future__ import annotations

from argparse import ArgumentParser

from console.alert_kinds import KINDS
from console.api.v1.operations import alert_json
from console.management.provider.arguments import add_json
from console.management.provider.printing import say, say_json, told
from console.shown import visible
from evidence.alert_reads import ShownState, alerts
from evidence.models import Alert

HELP = "The alerts, the newest first: open ones alone if nothing else is asked for."
LISTED_COUNT = 50


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("--state", choices=[state.value for state in ShownState], default=ShownState.OPEN.value)
    parser.add_argument("--kind", choices=[*KINDS], default="", help="default: every kind")
    parser.add_argument("--limit", type=int, default=LISTED_COUNT, help=f"at most so many; default: {LISTED_COUNT}")
    add_json(parser)


def run(*, state: str, kind: str, limit: int, json: bool, **_: object) -> int:
    rows = alerts(state=ShownState(state), kind=kind).order_by("-pk")[: max(limit, 0)]
    if json:
        say_json({"alerts": [alert_json(row) for row in rows]})
        return 0
    lines = [line_of(row) for row in rows]
    say(*(lines or [f"no {'' if state == ShownState.ALL else f'{state} '}alerts"]))
    return 0


def line_of(row: Alert) -> str:
    until = "open" if row.closed_at is None else f"closed {told(row.closed_at, none='')}"
    times = f"since {told(row.opened_at, none='')}, {until}"
    return visible(f"{row.pk}  {row.severity}  {row.kind}  {row.subject}  {times}: {row.summary}")
