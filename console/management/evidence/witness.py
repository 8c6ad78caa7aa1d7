"""The program of `deploy/witness.py`, for who has the project installed."""

from argparse import ArgumentParser, Namespace
from typing import Any

from evidence.witnesses import witness

HELP = (
    "Keep a log's newest checkpoint elsewhere and find out when history was rewritten. "
    "Exit 0: consistent. 1: not, and what is wrong. 2: wrong usage. 3: it could not be asked."
)


def add_arguments(parser: ArgumentParser) -> None:
    witness.add_arguments(parser)


def run(**options: Any) -> int:
    return witness.run(Namespace(**options))
