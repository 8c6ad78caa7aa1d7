"""`manage.py evidence VERB`: each verb is a module of `console.management.evidence`."""

from __future__ import annotations

from types import ModuleType

from console.management.errors import UsageWrong
from console.management.evidence import (
    cancel_verification,
    carry_out,
    download,
    export,
    publications,
    publish,
    receipt,
    republish,
    restart_log,
    upload,
    verify,
    witness,
)
from console.management.evidence import list as list_all
from console.management.verbs import VerbCommand

VERBS: tuple[ModuleType, ...] = (
    export,
    verify,
    receipt,
    upload,
    list_all,
    download,
    publish,
    publications,
    witness,
    republish,
    restart_log,
    cancel_verification,
    carry_out,
)


class Command(VerbCommand):
    help = "Evidence for others to check. Exit 0: done, or PASS. 1: FAIL, or refused. 2: wrong usage. 3: INCONCLUSIVE."
    examples = (
        "evidence export --run latest --out .",
        "evidence receipt receipts.txt",
        "evidence verify bundle.tar.gz",
    )
    name = "evidence"
    verbs = VERBS
    wrong_usage = UsageWrong
