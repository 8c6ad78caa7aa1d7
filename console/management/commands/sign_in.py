"""`manage.py sign_in VERB`: each verb is a module of `console.management.sign_in`."""

from __future__ import annotations

from types import ModuleType

from console.management.errors import UsageWrong
from console.management.sign_in import end_sessions, lift, link, links, locks, remove_factor, sessions, unlink
from console.management.verbs import VerbCommand

VERBS: tuple[ModuleType, ...] = (locks, lift, sessions, end_sessions, remove_factor, links, link, unlink)


class Command(VerbCommand):
    help = (
        "Who is signed in, who is locked out, and who may come in by an identity provider. Exit 0: done. 1: failed. "
        "2: wrong usage."
    )
    examples = (
        "sign_in locks",
        "sign_in lift ann",
        "sign_in sessions",
        "sign_in end-sessions ann",
        "sign_in link ann --subject 4f1c2a90",
    )
    name = "sign_in"
    verbs = VERBS
    wrong_usage = UsageWrong
