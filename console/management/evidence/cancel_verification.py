from argparse import ArgumentParser
from typing import Any

from console.actions.operator import Operator
from console.actions.verifications import cancel_verification
from console.management.errors import UsageWrong
from console.management.provider.printing import say
from evidence.models import VerificationOrder

HELP = "Cancel a verification that the console asked for: it ends within a second, without an outcome."


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("number", type=int, metavar="ORDER", help="as the page of the verification names it")
    parser.add_argument("--by", metavar="NAME", help="who asks, for the audit log; default: who runs this")


def run(*, number: int, by: str | None, **_: Any) -> int:
    found = VerificationOrder.objects.select_related("bundle").filter(pk=number).first()
    if found is None:
        raise UsageWrong(f"there is no verification {number}")
    cancel_verification(Operator.command_line(by), number, found.bundle)
    say(f"verification {number} is cancelled")
    return 0
