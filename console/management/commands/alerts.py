"""`manage.py alerts VERB`: each verb is a module of `console.management.alerts`."""

from __future__ import annotations

from types import ModuleType

from console.management.alerts import list as list_all
from console.management.alerts import show
from console.management.errors import UsageWrong
from console.management.verbs import VerbCommand

VERBS: tuple[ModuleType, ...] = (list_all, show)


class Command(VerbCommand):
    help = (
        "What somebody should know now, and what was lately. Exit 0: done. 1: PostgreSQL cannot be asked. 2: wrong"
        " usage."
    )
    examples = ("alerts list", "alerts list --state all --kind burn --json", "alerts show 12")
    name = "alerts"
    verbs = VERBS
    wrong_usage = UsageWrong
