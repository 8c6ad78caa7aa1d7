from __future__ import annotations

from argparse import ArgumentParser
from datetime import datetime
from pathlib import Path

from console.actions import budget
from console.management.budget.arguments import add_person, add_slo, add_window, person
from console.management.provider.printing import say

HELP = "Enter an incident in the ledger; no figure changes."


def add_arguments(parser: ArgumentParser) -> None:
    add_slo(parser)
    add_window(parser)
    add_person(parser)


def run(
    *,
    slo: str,
    window_from: datetime,
    window_to: datetime,
    reason: str,
    username: str,
    password_file: Path | None,
    code: str | None,
    **_: object,
) -> int:
    operator = person(username, password_file, code)
    entry = budget.annotate(operator, slo, window_from=window_from, window_to=window_to, reason=reason)
    say(f"ledger entry {entry.number}, audit entry {entry.audit_number}")
    if entry.cause["needs_postmortem"]:
        say(f"it took {entry.cause['share_of_budget_percent']} % of the budget of 28 days: write a postmortem")
    return 0
