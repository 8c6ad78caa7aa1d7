"""What several verbs ask for: the person, and who asks."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.contrib.auth import get_user_model

from console.management.errors import UsageWrong


def add_by(parser: ArgumentParser) -> None:
    parser.add_argument("--by", metavar="NAME", help="who asks, for the audit log; default: who runs this")


def user_named(username: str) -> Any:
    """Raises UsageWrong."""
    user = get_user_model().objects.filter(username=username).first()
    if user is None:
        raise UsageWrong(f"{username[:150]!r} is no user of the console")
    return user
