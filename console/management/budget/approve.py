from __future__ import annotations

from argparse import ArgumentParser
from pathlib import Path

from console.actions import budget
from console.management.budget.arguments import add_person, person
from console.management.provider.printing import say

HELP = "Approve a correction that another person proposed."


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("number", type=int, help="of the correction, as `budget show` lists them")
    parser.add_argument("--reason", default="", help="it stays in the ledger")
    add_person(parser)


def run(*, number: int, reason: str, username: str, password_file: Path | None, code: str | None, **_: object) -> int:
    entry = budget.approve_correction(person(username, password_file, code, decides=True), number, reason=reason)
    say(f"ledger entry {entry.number}, audit entry {entry.audit_number}: {entry.remaining_pct} % of the budget is left")
    return 0
