"""`manage.py rollback_drill`: a breach planted on purpose, and how long the way back to OBSERVER takes."""

import sys
from typing import Any, override

from django.core.management.base import CommandParser
from django.db import Error

from autocom.kernel.errors import AutocomError
from console.management.provider.printing import say, say_json
from evidence.audit import Actor
from evidence.guardrails.drill import DrillRefused, drill, keep
from ingestion.management.with_examples import WithExamples

FAILED, WRONG_USAGE, INCONCLUSIVE = 1, 2, 3
EXIT = {"PASS": 0, "FAIL": FAILED, "INCONCLUSIVE": INCONCLUSIVE}


class Command(WithExamples):
    help = (
        "Plant a breach that the running guardrails have to answer, and measure until the mode is OBSERVER. Takes the "
        "service back to OBSERVER. Exit 0: within 60 s. 1: later. 2: wrong usage. 3: nobody answered."
    )
    examples = ("rollback_drill --json",)
    requires_system_checks = []

    @override
    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--by", metavar="NAME", help="who asks, for the audit log; default: who runs this")
        parser.add_argument("--json", action="store_true", help="print one JSON object instead of text")

    @override
    def handle(self, *_: object, by: str | None, json: bool, **__: Any) -> None:
        try:
            told = drill(actor=Actor.command_line(by))
            keep(told)
        except DrillRefused as error:
            self.stderr.write(f"rollback_drill: {error}")
            sys.exit(WRONG_USAGE)
        except (AutocomError, Error, OSError) as error:
            self.stderr.write(f"rollback_drill: {str(error).partition('\n')[0]}")
            sys.exit(FAILED)
        if json:
            say_json(told.as_json())
        else:
            say(*(f"{step.at:%H:%M:%S.%f}  {step.what}" for step in told.steps), told.sentence)
        sys.exit(EXIT[told.outcome])
