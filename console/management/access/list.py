from __future__ import annotations

from argparse import ArgumentParser

from console.actions.row_rights import rights
from console.management.provider.arguments import add_json
from console.management.provider.printing import say, say_json

HELP = "Who holds a right on which provider or bundle. Roles and DRIs are not listed here."


def add_arguments(parser: ArgumentParser) -> None:
    add_json(parser)


def run(*, json: bool, **_: object) -> int:
    found = rights()
    if json:
        say_json([{"user": user, "permission": permission, "row": row} for user, permission, row in found])
    else:
        say(*(f"{user}  {permission}  {row}" for user, permission, row in found))
    return 0
