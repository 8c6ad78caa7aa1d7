"""What several verbs ask for: the gate, the person and their password."""

from __future__ import annotations

import getpass
import sys
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from console.actions.gates import reauthenticated
from console.management.errors import UsageWrong
from evidence.decisions.dri import gate_row
from evidence.gates.spec import GateUnknown
from evidence.models import Gate


def add_person(parser: ArgumentParser) -> None:
    parser.add_argument("--as", required=True, dest="username", metavar="USERNAME", help="a user of the console")
    parser.add_argument("--password-file", type=Path, help="first line: their password; default: it is asked for")


def person(username: str, password_file: Path | None, *, gate: Gate) -> Any:
    """Whoever decides, having said who they are. Raises UsageWrong, PasswordWrong."""
    return reauthenticated(username, password(password_file), gate=gate)


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
