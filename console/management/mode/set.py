from __future__ import annotations

from argparse import ArgumentParser
from pathlib import Path

from console.actions.mode import set_mode
from console.actions.operator import Operator
from console.management.errors import UsageWrong
from console.management.gate.arguments import add_code, gate_of, person
from console.management.provider.printing import say
from evidence.models import Decision
from evidence.modes import Mode, current_mode

HELP = "Change the mode: down at any time with a reason, up by an approved GO. Exit 1: refused."


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("mode", choices=[mode.value for mode in Mode])
    parser.add_argument("--reason", required=True, help="why; it goes into the audit log")
    parser.add_argument("--decision", type=int, metavar="ENTRY", help="up: audit entry of the approved GO")
    parser.add_argument("--share", help="LIMITED: share of the ordering keys, such as 0.05")
    parser.add_argument("--key", action="append", default=[], help="LIMITED: an ordering key; may be repeated")
    parser.add_argument("--provider", action="append", default=[], help="LIMITED: a provider; may be repeated")
    parser.add_argument("--by", metavar="NAME", help="down: who asks, for the audit log; default: who runs this")
    parser.add_argument("--as", dest="username", metavar="USERNAME", help="up: a user of the console")
    parser.add_argument("--password-file", type=Path, help="up: first line: their password; default: it is asked for")
    add_code(parser)


def run(
    *,
    mode: str,
    reason: str,
    decision: int | None,
    share: str | None,
    key: list[str],
    provider: list[str],
    by: str | None,
    username: str | None,
    password_file: Path | None,
    code: str | None,
    **_: object,
) -> int:
    to, found = Mode(mode), _decision(decision)
    scope = {name: value for name, value in (("share", share), ("keys", key), ("providers", provider)) if value}
    if to.rank > current_mode().rank:
        if username is None or found is None:
            raise UsageWrong(f"up to {to}: give the approved GO by --decision, and who raises the mode by --as")
        operator = Operator.signed_in(person(username, password_file, gate=gate_of(found.gate.name), code=code))
    else:
        operator = Operator.command_line(by)
    change = set_mode(operator, to, reason=reason, decision=found, scope=scope or None)
    say(f"{change.previous} to {change.mode}: audit entry {change.audit_number}")
    return 0


def _decision(number: int | None) -> Decision | None:
    if number is None:
        return None
    found = Decision.objects.select_related("gate").filter(audit_number=number).first()
    if found is None:
        raise UsageWrong(f"--decision {number}: no decision has this audit entry")
    return found
