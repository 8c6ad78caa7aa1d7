from __future__ import annotations

from argparse import ArgumentParser

from console.actions import row_rights
from console.management.access.arguments import add_right, right
from console.management.provider.printing import say

HELP = "Take that back; what the user holds by a role stays."


def add_arguments(parser: ArgumentParser) -> None:
    add_right(parser)


def run(
    *, user: str, provider: str | None, bundle: str | None, may: str, reason: str, by: str | None, **_: object
) -> int:
    wanted = right(user=user, provider=provider, bundle=bundle, may=may, reason=reason, by=by)
    changed = row_rights.withdraw(**wanted)
    say(f"{user}: {wanted['permission']} on {wanted['row']}: {'no longer' if changed else 'did not hold that'}")
    return 0
