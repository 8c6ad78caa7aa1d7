"""`manage.py evidence VERB`: each verb is a module of `console.management.evidence`."""

from __future__ import annotations

from types import ModuleType

from console.management.evidence import (
    receipt,
)
from console.management.evidence.errors import UsageWrong
from console.management.verbs import VerbCommand

VERBS: tuple[ModuleType, ...] = (receipt,)


class Command(VerbCommand):
    help = "Receipts, proofs and bundles. Each verb tells its exit codes: manage.py evidence VERB --help."
    name = "evidence"
    verbs = VERBS
    wrong_usage = UsageWrong
