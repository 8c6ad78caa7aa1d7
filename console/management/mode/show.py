from __future__ import annotations

from argparse import ArgumentParser

from console.management.provider.printing import iso, say, say_json, told
from evidence.mode_standing import ModeStanding, standing

HELP = "How far the service goes in the outside world, since when and by whom."


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of text")


def run(*, json: bool, **_: object) -> int:
    found = standing()
    if json:
        say_json(mode_json(found))
    else:
        say(*_lines(found))
    return 0


def mode_json(found: ModeStanding) -> dict[str, object]:
    change = found.change
    return {
        "mode": found.mode.value,
        "since": iso(found.since),
        "why_not": found.why_not,
        "scope": dict(found.scope),
        "cause": change.cause if change else None,
        "by": change.actor if change else None,
        "reason": change.reason if change else None,
        "audit_entry": change.audit_number if change else None,
    }


def _lines(found: ModeStanding) -> list[str]:
    change = found.change
    if change is None:
        return [f"{found.mode}: it was never another"]
    lines = [
        f"{found.mode} since {told(change.changed_at, none='')}, by {change.actor} ({change.cause}): {change.reason}"
    ]
    if found.why_not:
        lines = [f"{found.mode}: {change.mode} was set and does not hold: {found.why_not}"]
    return [*lines, *(f"  {name}: {value}" for name, value in sorted(found.scope.items()))]
