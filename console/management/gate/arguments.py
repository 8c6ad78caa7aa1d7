"""What several verbs ask for: the gate, the person and their password."""

from __future__ import annotations

import getpass
import sys
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.contrib.auth import get_user_model

from console.actions.gates import reauthenticated
from console.management.errors import UsageWrong
from console.sign_in.factor import is_on
from evidence.decisions.dri import gate_row
from evidence.gates.spec import GateUnknown
from evidence.models import Gate


def add_person(parser: ArgumentParser) -> None:
    parser.add_argument("--as", required=True, dest="username", metavar="USERNAME", help="a user of the console")
    parser.add_argument("--password-file", type=Path, help="first line: their password; default: it is asked for")
    add_code(parser)


def add_code(parser: ArgumentParser) -> None:
    parser.add_argument("--code", help="of their second factor, where they enrolled one; default: it is asked for")


def person(username: str, password_file: Path | None, *, gate: Gate, code: str | None) -> Any:
    """Whoever decides, having said who they are. Raises UsageWrong, PasswordWrong, SecondFactorRefused."""
    secret = password(password_file)
    return reauthenticated(username, secret, gate=gate, code=asked_code(username) if code is None else code)


def asked_code(username: str) -> str:
    """Empty where nothing is to be asked for, or nobody is here to ask."""
    user = get_user_model().objects.filter(username=username).first()
    return getpass.getpass("Code: ") if user is not None and is_on(user) and sys.stdin.isatty() else ""


def gate_of(name: str) -> Gate:
    """Raises UsageWrong."""
    try:
        return gate_row(name)
    except GateUnknown as error:
        raise UsageWrong(str(error)) from error


def password(path: Path | None) -> str:
    if path is not None:
        try:
            return path.read_text(encoding="utf-8").partition("\n")[0]
        except OSError as error:
            raise UsageWrong(f"--password-file {path}: {error.strerror}") from error
    if not sys.stdin.isatty():
        raise UsageWrong("nobody is here to type a password: give --password-file")
    return getpass.getpass()
