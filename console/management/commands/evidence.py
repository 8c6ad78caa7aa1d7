"""`manage.py evidence VERB`: each verb is a module of `console.management.evidence`."""

from __future__ import annotations

from types import ModuleType

from console.management.evidence import (
    republish,
    restart_log,
)
from console.management.evidence.errors import UsageWrong
from console.management.verbs import VerbCommand

VERBS: tuple[ModuleType, ...] = (
    republish,
    restart_log,
)


class Command(VerbCommand):
    help = "Evidence for others to check. Exit 0: done, or PASS. 1: FAIL, or refused. 2: wrong usage. 3: INCONCLUSIVE."
    name = "evidence"
    verbs = VERBS
    wrong_usage = UsageWrong
