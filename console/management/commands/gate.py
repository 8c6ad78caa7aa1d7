"""`manage.py gate VERB`: each verb is a module of `console.management.gate`."""

from __future__ import annotations

from types import ModuleType

from console.management.errors import UsageWrong
from console.management.gate import (
    approve,
    assign,
    decide,
    end,
    evaluate,
    freeze,
    hand_over,
    run,
    show,
)
from console.management.verbs import VerbCommand

VERBS: tuple[ModuleType, ...] = (
    show,
    freeze,
    evaluate,
    run,
    assign,
    hand_over,
    end,
    decide,
    approve,
)


class Command(VerbCommand):
    help = (
        "Gates: what they ask for, their runs and verdicts, who decides and what. "
        "Exit 0: done, or PASS. 1: FAIL, or refused. 2: wrong usage. 3: INCONCLUSIVE."
    )
    examples = ("gate show a", 'gate freeze a --reason "launch of May"', "gate run a")
    name = "gate"
    verbs = VERBS
    wrong_usage = UsageWrong
