from __future__ import annotations

from argparse import ArgumentParser
from datetime import datetime
from pathlib import Path

from console.actions import budget
from console.management.budget.arguments import add_person, add_slo, add_window, person
from console.management.provider.printing import say
from evidence.budget.corrections import Category, Wanted
from evidence.budget.entries import account_of

HELP = "Propose a correction; it counts once another person approves it."


def add_arguments(parser: ArgumentParser) -> None:
    add_slo(parser)
    add_window(parser)
    parser.add_argument("--category", required=True, choices=Category.values)
    parser.add_argument("--valid", type=int, default=0, metavar="N", help="added to what was valid, such as -40")
    parser.add_argument("--bad", type=int, default=0, metavar="N", help="added to what was bad")
    parser.add_argument("--unknown-seconds", type=int, default=0, metavar="N", help="added to the unknown time")
    add_person(parser)


def run(
    *,
    slo: str,
    window_from: datetime,
    window_to: datetime,
    reason: str,
    category: str,
    valid: int,
    bad: int,
    unknown_seconds: int,
    username: str,
    password_file: Path | None,
    code: str | None,
    **_: object,
) -> int:
    wanted = Wanted(
        slo=slo,
        account=account_of(window_from),
        window_from=window_from,
        window_to=window_to,
        category=category,
        valid_delta=valid,
        bad_delta=bad,
        unknown_seconds_delta=unknown_seconds,
        reason=reason,
    )
    proposal = budget.propose_correction(person(username, password_file, code), wanted)
    say(f"correction {proposal.pk} is proposed: another person runs `manage.py budget approve {proposal.pk}`")
    return 0
