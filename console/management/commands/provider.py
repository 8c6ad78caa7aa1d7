"""`manage.py provider VERB`: each verb is a module of `console.management.provider`."""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Any, override

from django.core.management.base import BaseCommand, CommandParser
from django.db import Error

from autocom.kernel.errors import AutocomError
from console.management.provider import (
    add,
    certificate,
    diagnose,
    disable,
    enable,
    rekey,
    revoke,
    rotate,
    show,
    test,
    verify_stored,
)
from console.management.provider import list as list_all
from ingestion.provider_changes.errors import SettingRefused

VERBS: tuple[ModuleType, ...] = (
    add,
    list_all,
    show,
    rotate,
    revoke,
    enable,
    disable,
    test,
    diagnose,
    verify_stored,
    certificate,
    rekey,
)
FAILED, WRONG_USAGE = 1, 2


class Command(BaseCommand):
    help = "Add, show and change providers and their secrets. Exit 0: done. 1: failed, nothing changed. 2: wrong usage."
    requires_system_checks = ()

    @override
    def add_arguments(self, parser: CommandParser) -> None:
        verbs = parser.add_subparsers(dest="verb", metavar="VERB", required=True)
        for module in VERBS:
            # no abbreviations: `--secret VALUE` would be taken for --secret-file
            verb = verbs.add_parser(_verb(module), help=module.HELP, description=module.HELP, allow_abbrev=False)
            module.add_arguments(verb)

    @override
    def handle(self, *, verb: str, **options: Any) -> None:
        (module,) = (module for module in VERBS if _verb(module) == verb)
        try:
            sys.exit(module.run(**options))
        except AutocomError as error:
            self.stderr.write(f"provider {verb}: {error}")
            sys.exit(WRONG_USAGE if isinstance(error, SettingRefused) else FAILED)
        except Error as error:
            self.stderr.write(f"provider {verb}: PostgreSQL cannot be asked: {str(error).partition('\n')[0]}")
            sys.exit(FAILED)


def _verb(module: ModuleType) -> str:
    return module.__name__.rpartition(".")[2].replace("_", "-")
