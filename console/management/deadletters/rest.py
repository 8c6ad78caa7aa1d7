from argparse import ArgumentParser
from typing import Any

from console.actions.letter_orders import order_rest
from console.actions.operator import Operator
from console.management.deadletters.cancel import add_arguments as add_cancel
from console.management.deadletters.cancel import order_named
from console.management.provider.printing import say
from console.set_aside.verbs import VERB_BY_NAME
from ingestion.redrive.place import SetAside

HELP = "Ask for what an order left that was cancelled, failed or died. The ops worker carries it out."


def add_arguments(parser: ArgumentParser) -> None:
    add_cancel(parser)


def run(*, number: int, actor: str | None, **_: Any) -> int:
    found = order_named(number)
    operator, verb = Operator.command_line(actor), VERB_BY_NAME[found.verb]
    made = order_rest(operator, number, place=SetAside(found.place), verb=verb)
    say(f"order {made.pk} over {made.count:,} letters waits for the ops worker")
    return 0
