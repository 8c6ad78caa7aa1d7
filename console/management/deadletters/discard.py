from argparse import ArgumentParser, ArgumentTypeError
from typing import Any

from console.management.deadletters.acting import act
from console.management.deadletters.arguments import add_act
from console.management.deadletters.retry import NAMES
from console.set_aside.verbs import DISCARD
from ingestion.redrive.discard import REASON_LIMIT_CHARS

HELP = "Give letters up, with a reason; they stay readable until retention. Without --yes: only what would happen."


def add_arguments(parser: ArgumentParser) -> None:
    add_act(parser)
    parser.add_argument(
        "--reason", required=True, type=reason, help="why, such as 'test data of 3 May, agreed with the sender'"
    )


def run(**options: Any) -> int:
    return act(DISCARD, **{name: options[name] for name in NAMES})


def reason(text: str) -> str:
    stripped = text.strip()
    if not 1 <= len(stripped) <= REASON_LIMIT_CHARS:
        raise ArgumentTypeError(
            f"it has {len(stripped)} characters: say why in 1 to {REASON_LIMIT_CHARS},"
            " such as 'test data of 3 May, agreed with the sender'"
        )
    return stripped
