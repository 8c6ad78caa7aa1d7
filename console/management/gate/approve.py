from __future__ import annotations

from argparse import ArgumentParser
from pathlib import Path

from console.actions.gates import approve
from console.management.errors import UsageWrong
from console.management.gate.arguments import add_person, person
from console.management.provider.printing import say
from evidence.models import Decision

HELP = "The second person approves a GO. Exit 1: refused."


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("decision", type=int, help="number of the decision's audit entry")
    parser.add_argument("--reason", default="", help="what was looked at; it goes into the audit log")
    add_person(parser)


def run(*, decision: int, reason: str, username: str, password_file: Path | None, code: str | None, **_: object) -> int:
    found = Decision.objects.select_related("gate").filter(audit_number=decision).first()
    if found is None:
        raise UsageWrong(f"{decision}: no decision has this audit entry; `manage.py gate decide` prints its number")
    user = person(username, password_file, gate=found.gate, code=code)
    approval = approve(user, found, reason=reason)
    say(f"GO of {found.dri} on gate {found.gate.name} is approved by {username}: audit entry {approval.audit_number}")
    return 0
