from __future__ import annotations

import sys
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from ingestion.management.provider import diagnose, verify_stored

VERBS = (diagnose, verify_stored)


class Command(BaseCommand):
    help = "Work with the providers of webhooks."
    requires_system_checks = ()

    def add_arguments(self, parser: CommandParser) -> None:
        verbs = parser.add_subparsers(dest="verb", required=True)
        for module in VERBS:
            name = module.__name__.rpartition(".")[2].replace("_", "-")
            verb = verbs.add_parser(name, help=module.HELP, description=module.HELP)
            module.add_arguments(verb)
            verb.set_defaults(run=module.run)

    def handle(self, *, run: Any, **options: Any) -> None:
        sys.exit(run(**options))
