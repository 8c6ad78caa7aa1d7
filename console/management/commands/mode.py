"""`manage.py mode VERB`: each verb is a module of `console.management.mode`."""

from __future__ import annotations

from types import ModuleType

from console.management.errors import UsageWrong
from console.management.mode import set as set_mode
from console.management.mode import show
from console.management.verbs import VerbCommand

VERBS: tuple[ModuleType, ...] = (show, set_mode)


class Command(VerbCommand):
    help = "How far the service goes: OBSERVER, LIMITED, PRODUCTION. Exit 0: done. 1: refused. 2: wrong usage."
    examples = ("mode show", 'mode set OBSERVER --reason "enough for today"')
    name = "mode"
    verbs = VERBS
    wrong_usage = UsageWrong
