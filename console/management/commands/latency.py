"""`manage.py latency VERB`: each verb is a module of `console.management.latency`."""

from __future__ import annotations

from types import ModuleType

from console.management.errors import UsageWrong
from console.management.latency import compare, runs, show
from console.management.verbs import VerbCommand

VERBS: tuple[ModuleType, ...] = (show, compare, runs)


class Command(VerbCommand):
    help = (
        "How long acks, waits and commits took: percentiles of a range, and two ranges or runs against each other."
        " Exit 0: done. 1: PostgreSQL cannot be asked, or there are too many rows. 2: wrong usage."
        " 3: nothing was measured."
    )
    examples = (
        "latency show --from now-24h --provider stripe",
        "latency compare --from now-1h --vs-from now-25h --vs-to now-24h --stage ack",
        "latency runs --json",
    )
    name = "latency"
    verbs = VERBS
    wrong_usage = UsageWrong
