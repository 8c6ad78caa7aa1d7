"""What several verbs ask for: the objective, the window, and who it is."""

from __future__ import annotations

from argparse import ArgumentParser, ArgumentTypeError
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from django.contrib.auth import authenticate

from console.actions.gates import FACTOR_MISSING
from console.actions.operator import Operator
from console.actions.sign_in import prove
from console.management.gate.arguments import add_code, asked_code, password
from console.sign_in import factor
from console.sign_in.factor import CodeRefused
from evidence.budget.errors import CorrectionRefused
from evidence.slo.shipped import objectives


def add_slo(parser: ArgumentParser) -> None:
    parser.add_argument("slo", choices=objectives().names, help="the objective")


def add_window(parser: ArgumentParser) -> None:
    parser.add_argument("--from", required=True, dest="window_from", type=moment, metavar="TIME", help="ISO 8601")
    parser.add_argument("--to", required=True, dest="window_to", type=moment, metavar="TIME", help="ISO 8601")
    parser.add_argument("--reason", required=True, help="it stays in the ledger")


def add_person(parser: ArgumentParser) -> None:
    parser.add_argument("--as", required=True, dest="username", metavar="USERNAME", help="a user of the console")
    parser.add_argument("--password-file", type=Path, help="first line: their password; default: it is asked for")
    add_code(parser)


def moment(text: str) -> datetime:
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise ArgumentTypeError(f"{text!r} is no time such as 2027-03-01T12:00:00Z") from None
    return found.astimezone(UTC) if found.tzinfo else found.replace(tzinfo=UTC)


def person(username: str, password_file: Path | None, code: str | None, *, decides: bool = False) -> Operator:
    """`decides`: it takes a second factor where SECOND_FACTOR says so. Raises UsageWrong, CorrectionRefused."""
    user: Any = authenticate(username=username, password=password(password_file))
    if user is None or not user.is_staff:
        raise CorrectionRefused("the password is wrong, or the user is not an active one of the console")
    if decides and factor.lacks(user):
        raise CorrectionRefused(FACTOR_MISSING)
    if factor.is_on(user):
        try:
            prove(user, asked_code(username) if code is None else code, request=None)
        except CodeRefused as error:
            raise CorrectionRefused(f"second factor: {error}") from error
    return Operator.signed_in(user)
