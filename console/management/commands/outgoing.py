"""`manage.py outgoing VERB`: each verb is a module of `console.management.outgoing`."""

from __future__ import annotations

from types import ModuleType

from console.management.errors import UsageWrong
from console.management.outgoing import discard, release, retry
from console.management.outgoing import list as list_all
from console.management.verbs import VerbCommand

VERBS: tuple[ModuleType, ...] = (list_all, retry, release, discard)


class Command(VerbCommand):
    help = "Messages to destinations that a person decides on. Exit 0: done. 1: refused. 2: wrong usage."
    examples = ("outgoing list --state dead", 'outgoing retry 12 --reason "it answers again"')
    name = "outgoing"
    verbs = VERBS
    wrong_usage = UsageWrong
