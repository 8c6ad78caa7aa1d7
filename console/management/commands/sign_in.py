"""`manage.py sign_in VERB`: each verb is a module of `console.management.sign_in`."""

from __future__ import annotations

from types import ModuleType

from console.management.errors import UsageWrong
from console.management.sign_in import end_sessions, lift, locks, remove_factor, sessions
from console.management.verbs import VerbCommand

VERBS: tuple[ModuleType, ...] = (locks, lift, sessions, end_sessions, remove_factor)


class Command(VerbCommand):
    help = "Who is signed in and who is locked out. Exit 0: done. 1: failed. 2: wrong usage."
    examples = ("sign_in sessions", "sign_in end-sessions anna", "sign_in locks", "sign_in lift anna")
    name = "sign_in"
    verbs = VERBS
    wrong_usage = UsageWrong
