"""A command whose verbs are modules: each has HELP, add_arguments(parser) and run(**options), its exit code."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from types import ModuleType
from typing import Any, ClassVar, override

from django.core.exceptions import PermissionDenied
from django.core.management.base import CommandParser
from django.db import Error

from autocom.kernel.errors import AutocomError
from ingestion.management.with_examples import WithExamples

FAILED, WRONG_USAGE = 1, 2


class VerbCommand(WithExamples):
    """`manage.py NAME VERB`. Errors of `wrong_usage` end with 2, all others of ours and PostgreSQL's with 1."""

    name: ClassVar[str]
    verbs: ClassVar[Sequence[ModuleType]]
    wrong_usage: ClassVar[type[AutocomError]]
    requires_system_checks = ()

    @override
    def add_arguments(self, parser: CommandParser) -> None:
        verbs = parser.add_subparsers(dest="verb", metavar="VERB", required=True)
        for module in self.verbs:
            # no abbreviations: `--secret VALUE` would be taken for --secret-file
            verb = verbs.add_parser(_verb(module), help=module.HELP, description=module.HELP, allow_abbrev=False)
            module.add_arguments(verb)

    @override
    def handle(self, *, verb: str, **options: Any) -> None:
        (module,) = (module for module in self.verbs if _verb(module) == verb)
        try:
            sys.exit(module.run(**options))
        except AutocomError as error:
            self.stderr.write(f"{self.name} {verb}: {error}")
            sys.exit(WRONG_USAGE if isinstance(error, self.wrong_usage) else FAILED)
        except PermissionDenied as error:
            self.stderr.write(f"{self.name} {verb}: this needs the permission {error}, and the refusal is on record")
            sys.exit(FAILED)
        except Error as error:
            self.stderr.write(f"{self.name} {verb}: PostgreSQL cannot be asked: {str(error).partition('\n')[0]}")
            sys.exit(FAILED)


def _verb(module: ModuleType) -> str:
    return module.__name__.rpartition(".")[2].replace("_", "-")
