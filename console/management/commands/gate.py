"""`manage.py gate VERB`: each verb is a module of `console.management.gate`."""

from __future__ import annotations

from types import ModuleType

from console.management.gate import (
    evaluate,
    freeze,
    run,
    show,
)
from console.management.gate.errors import UsageWrong
from console.management.verbs import VerbCommand

VERBS: tuple[ModuleType, ...] = (
    show,
    freeze,
    evaluate,
    run,
)


class Command(VerbCommand):
    help = (
        "Gates: show, freeze, run, judge. Exit 0: done, or PASS. 1: FAIL, or refused. 2: wrong usage. 3: INCONCLUSIVE."
    )
    name = "gate"
    verbs = VERBS
    wrong_usage = UsageWrong
