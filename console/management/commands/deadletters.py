"""`manage.py deadletters VERB`: each verb is a module of `console.management.deadletters`."""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Any, override

from django.core.management.base import BaseCommand, CommandParser
from django.db import Error

from autocom.kernel.errors import AutocomError
from console.management.deadletters import discard, groups, retry, show
from console.management.deadletters import list as list_all
from console.management.deadletters.errors import UsageWrong

VERBS: tuple[ModuleType, ...] = (list_all, groups, show, retry, discard)
FAILED, WRONG_USAGE = 1, 2


class Command(BaseCommand):
    help = (
        "List, show, retry and discard dead letters and quarantined events. "
        "Exit 0: done. 1: something was refused or not found. 2: wrong usage."
    )
    requires_system_checks = ()

    @override
    def add_arguments(self, parser: CommandParser) -> None:
        verbs = parser.add_subparsers(dest="verb", metavar="VERB", required=True)
        for module in VERBS:
            verb = verbs.add_parser(_verb(module), help=module.HELP, description=module.HELP, allow_abbrev=False)
            module.add_arguments(verb)

    @override
    def handle(self, *, verb: str, **options: Any) -> None:
        (module,) = (module for module in VERBS if _verb(module) == verb)
        try:
            sys.exit(module.run(**options))
        except AutocomError as error:
            self.stderr.write(f"deadletters {verb}: {error}")
            sys.exit(WRONG_USAGE if isinstance(error, UsageWrong) else FAILED)
        except Error as error:
            self.stderr.write(f"deadletters {verb}: PostgreSQL cannot be asked: {str(error).partition('\n')[0]}")
            sys.exit(FAILED)


def _verb(module: ModuleType) -> str:
    return module.__name__.rpartition(".")[2]
