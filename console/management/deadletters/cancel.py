from argparse import ArgumentParser
from typing import Any

from console.actions.letter_orders import cancel_letters
from console.actions.operator import Operator
from console.management.deadletters.arguments import name
from console.management.errors import UsageWrong
from console.management.provider.printing import say
from console.set_aside.verbs import VERB_BY_NAME
from evidence.models import SetAsideOrder
from ingestion.redrive.place import SetAside

HELP = "Cancel an order over many letters: no further letter has its turn, and what was done stays done."


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("number", type=int, metavar="ORDER", help="as deadletters orders prints it")
    parser.add_argument("--actor", metavar="NAME", type=name, help="for the audit log (default: who runs this)")


def run(*, number: int, actor: str | None, **_: Any) -> int:
    found = order_named(number)
    operator, verb = Operator.command_line(actor), VERB_BY_NAME[found.verb]
    kept = cancel_letters(operator, number, place=SetAside(found.place), verb=verb)
    say(f"order {number} is cancelled: {kept.position:,} of {kept.count:,} letters have had their turn")
    return 0


def order_named(number: int) -> SetAsideOrder:
    """Raises UsageWrong."""
    found = SetAsideOrder.objects.defer("event_ids").filter(pk=number).first()
    if found is None:
        raise UsageWrong(f"there is no order {number}: deadletters orders lists them")
    return found
