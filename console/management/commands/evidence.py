"""`manage.py evidence VERB`: each verb is a module of `console.management.evidence`."""

from __future__ import annotations

from types import ModuleType

from console.management.evidence import (
    download,
    export,
    upload,
    verify,
)
from console.management.evidence import list as list_all
from console.management.evidence.errors import UsageWrong
from console.management.verbs import VerbCommand

VERBS: tuple[ModuleType, ...] = (
    upload,
    list_all,
    download,
    verify,
    export,
)


class Command(VerbCommand):
    help = (
        "Keep, list, hand out and check evidence. Exit 0: done. 1: failed or refused. 2: wrong usage. 3: inconclusive."
    )
    name = "evidence"
    verbs = VERBS
    wrong_usage = UsageWrong
