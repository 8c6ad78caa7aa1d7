from argparse import ArgumentParser
from typing import Any

from console.management.errors import UsageWrong
from console.verifications import settle
from evidence.models import VerificationOrder

HELP = "Do the verification that the console's order of this number asks. The ops worker starts it. Exit 0: done."
DONE, NOT_DONE = 0, 1


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("--order", type=int, required=True, metavar="NUMBER")


def run(*, order: int, **_: Any) -> int:
    try:
        return DONE if settle(order).state == VerificationOrder.State.DONE else NOT_DONE
    except VerificationOrder.DoesNotExist as error:
        raise UsageWrong(f"--order {order}: there is no such order") from error
