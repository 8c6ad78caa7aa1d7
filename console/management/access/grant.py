from __future__ import annotations

from argparse import ArgumentParser

from console.actions import row_rights
from console.management.access.arguments import add_right, right
from console.management.provider.printing import say

HELP = "Let a user see or change one provider, or see one bundle, and no other."


def add_arguments(parser: ArgumentParser) -> None:
    add_right(parser)


def run(
    *, user: str, provider: str | None, bundle: str | None, may: str, reason: str, by: str | None, **_: object
) -> int:
    wanted = right(user=user, provider=provider, bundle=bundle, may=may, reason=reason, by=by)
    changed = row_rights.grant(**wanted)
    say(f"{user}: {wanted['permission']} on {wanted['row']}: {'now' if changed else 'held that already'}")
    return 0
