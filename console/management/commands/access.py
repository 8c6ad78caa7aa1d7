"""`manage.py access VERB`: rights on single providers and bundles. Its verbs: console.management.access."""

from __future__ import annotations

from types import ModuleType

from console.management.access import grant, withdraw
from console.management.access import list as list_all
from console.management.errors import UsageWrong
from console.management.verbs import VerbCommand

VERBS: tuple[ModuleType, ...] = (grant, withdraw, list_all)


class Command(VerbCommand):
    help = "Rights of users on single providers and bundles. Exit 0: done. 1: refused. 2: wrong usage."
    examples = (
        'access grant anna --provider acme --may change --reason "their own webhook"',
        'access withdraw anna --provider acme --may change --reason "left the team"',
        "access list",
    )
    name = "access"
    verbs = VERBS
    wrong_usage = UsageWrong
