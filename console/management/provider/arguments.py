"""What the verbs read from their command line. A secret is never an argument: it would stay in the shell's history."""

from __future__ import annotations

import getpass
import json
import re
import sys
from argparse import ArgumentParser, ArgumentTypeError
from datetime import UTC, datetime, timedelta
from pathlib import Path

from ingestion.provider_changes.errors import SettingRefused

_LENGTH = re.compile(r"\A([0-9]{1,6})([smhd])\Z")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


def add_secret_file(parser: ArgumentParser) -> None:
    parser.add_argument(
        "--secret-file",
        metavar="PATH",
        help="read the secret from this file, - for standard input; without it a random one is made and shown once",
    )


def add_json(parser: ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of text")


def read_secret(path: str | None) -> str | None:
    """The file's text; typed without an echo where standard input is a terminal. Raises SettingRefused."""
    if path is None:
        return None
    try:
        if path != "-":
            return Path(path).read_text(encoding="utf-8")
        return getpass.getpass("secret (not shown): ") if sys.stdin.isatty() else sys.stdin.read()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is no UTF-8 text"
        # without the path: it may be a secret that somebody took this argument for
        raise SettingRefused(f"the file of --secret-file cannot be read: {reason}") from None


def length(text: str) -> timedelta:
    """`24h`, `30m`, `7d`, `90s` or `0`."""
    if text == "0":
        return timedelta(0)
    found = _LENGTH.match(text)
    if found is None:
        raise ArgumentTypeError(f"{text!r} is no length of time: write 24h, 30m, 7d, 90s or 0")
    return timedelta(**{_UNITS[found[2]]: int(found[1])})


def moment(text: str) -> datetime:
    """ISO 8601 with a zone."""
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        at = None
    if at is None or at.tzinfo is None:
        raise ArgumentTypeError(f"{text!r} is no time: write it with its zone, such as 2027-01-31T08:00:00Z")
    return at.astimezone(UTC)


def option(text: str) -> tuple[str, object]:
    """`name=value`; a value that starts with [ or { is JSON."""
    name, equals, value = text.partition("=")
    if not (name and equals):
        raise ArgumentTypeError(f"{text!r} is no option: write NAME=VALUE, such as ordering_key_path=data.id")
    if not value.startswith(("[", "{")):
        return name, value
    try:
        return name, json.loads(value)
    except ValueError as error:
        raise ArgumentTypeError(f"the value of {name} starts like JSON and is none: {error}") from None
