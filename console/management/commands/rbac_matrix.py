"""`manage.py rbac_matrix`: who may do what, declared and real, compared cell by cell."""

import sys
from pathlib import Path
from typing import Any, override

from django.core.management.base import CommandError, CommandParser
from django.db import Error

from autocom.kernel.errors import AutocomError
from console.actions.rbac import settle, tested_rbac
from console.management.provider.printing import say, say_json
from console.models import RbacOrder
from console.rbac.matrix import policy_csv
from evidence.audit import Actor
from ingestion.management.with_examples import WithExamples

FAILED, INCONCLUSIVE = 1, 3
EXIT = {"PASS": 0, "FAIL": FAILED, "INCONCLUSIVE": INCONCLUSIVE}
SHOWN_COUNT = 50


class Command(WithExamples):
    help = (
        "Send the request of every persona to every route with every method, and compare what the guards decide with "
        "the declared policy. Leaves nothing but the result. Exit 0: all match. 1: a mismatch. 3: something untested."
    )
    examples = ("rbac_matrix", "rbac_matrix --policy")
    requires_system_checks = []

    @override
    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--out", type=Path, metavar="DIR", help="default: rbac/ below EVIDENCE_ROOT")
        parser.add_argument("--by", metavar="NAME", help="who asks, for the audit log; default: who runs this")
        parser.add_argument("--json", action="store_true", help="print one JSON object instead of text")
        parser.add_argument(
            "--order", type=int, metavar="NUMBER", help="do what the console's order of this number asks"
        )
        parser.add_argument("--policy", action="store_true", help="print the declared policy as CSV, and probe nothing")

    @override
    def handle(
        self,
        *_: object,
        out: Path | None,
        by: str | None,
        json: bool,
        policy: bool,
        order: int | None = None,
        **__: Any,
    ) -> None:
        if policy:
            self.stdout.write(policy_csv(), ending="")
            return
        try:
            if order is not None:
                sys.exit(0 if settle(order).state == RbacOrder.State.DONE else FAILED)
            told = tested_rbac(actor=Actor.command_line(by), folder=out, progress=None).matrix
        except RbacOrder.DoesNotExist:
            raise CommandError(f"--order {order}: there is no such order") from None
        except (AutocomError, Error, OSError) as error:
            self.stderr.write(f"rbac_matrix: {str(error).partition('\n')[0]}")
            sys.exit(FAILED)
        faults = told.faults[:SHOWN_COUNT]
        if json:
            say_json({**told.as_json(), "faults": [_fault(cell) for cell in faults]})
        else:
            say(*(" ".join(_fault(cell).values()) for cell in faults), told.sentence)
        sys.exit(EXIT[told.outcome])


def _fault(cell: Any) -> dict[str, str]:
    return {
        "verdict": cell.verdict.value,
        "method": cell.method,
        "route": f"/{cell.route}",
        "persona": cell.persona,
        "expected": f"expected {cell.expected.value}",
        "answered": f"answered {cell.status or 'nothing'}",
        "decision": cell.decision,
    }
