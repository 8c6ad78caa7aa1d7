from argparse import ArgumentParser
from typing import Any

from console.management.deadletters.arguments import add_json
from console.management.deadletters.printing import order_json, order_line
from console.management.provider.printing import say, say_json
from evidence.models import SetAsideOrder

HELP = "The newest orders over many letters, and how far each is."
SHOWN_COUNT = 20


def add_arguments(parser: ArgumentParser) -> None:
    add_json(parser)


def run(*, json: bool, **_: Any) -> int:
    found = SetAsideOrder.objects.defer("event_ids")[:SHOWN_COUNT]
    if json:
        say_json({"orders": [order_json(each) for each in found]})
    else:
        say(*(map(order_line, found) if found else ["no order yet: retry or discard more than 500 letters at once"]))
    return 0
