"""`manage.py deadletters VERB`: each verb is a module of `console.management.deadletters`."""

from __future__ import annotations

from types import ModuleType

from console.management.deadletters import cancel, carry_out, discard, groups, orders, rest, retry, show
from console.management.deadletters import list as list_all
from console.management.errors import UsageWrong
from console.management.verbs import VerbCommand

VERBS: tuple[ModuleType, ...] = (list_all, groups, show, retry, discard, orders, cancel, rest, carry_out)


class Command(VerbCommand):
    help = (
        "List, show, retry and discard dead letters and quarantined events. "
        "Exit 0: done. 1: something was refused or not found. 2: wrong usage."
    )
    examples = (
        "deadletters groups",
        "deadletters retry 01a208773e9d7985b24db2dbc3e74000",
        'deadletters discard 01a208773e9d7985b24db2dbc3e74000 --reason "the sender sent it anew" --yes',
    )
    name = "deadletters"
    verbs = VERBS
    wrong_usage = UsageWrong
