"""`manage.py budget VERB`: each verb is a module of `console.management.budget`."""

from __future__ import annotations

from types import ModuleType

from console.management.budget import annotate, approve, correct, reject, show
from console.management.errors import UsageWrong
from console.management.verbs import VerbCommand

VERBS: tuple[ModuleType, ...] = (show, annotate, correct, approve, reject)


class Command(VerbCommand):
    help = (
        "Error budgets and their ledger. Exit 0: done. 1: refused, or `show` found one that is spent. 2: wrong usage."
    )
    examples = ("budget show", "budget show --json")
    name = "budget"
    verbs = VERBS
    wrong_usage = UsageWrong
