"""`python -m tests.tamper`: does every tampering to a copy of the history; prints what was found as Markdown.

Exit 0: all were found, each by its name. `--expected` prints the table without doing anything.
"""

from __future__ import annotations

import argparse
import logging
import sys
import tempfile
from pathlib import Path

import django

import tests.support.servers  # noqa: F401  (starts the servers, before Django reads its settings)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--expected", action="store_true")
    options = parser.parse_args()
    django.setup()
    logging.disable(logging.CRITICAL)
    from tests.tamper.matrix import matrix, unseen

    if options.expected:
        print("\n".join(matrix()))
        print("\n".join(unseen()))
        return 0
    return _carried_out()


def _carried_out() -> int:
    from tests.tamper.arena import Arena
    from tests.tamper.finders import FINDERS
    from tests.tamper.matrix import matrix
    from tests.tamper.table import Tampering

    missed: list[str] = []

    def outcome(tampering: Tampering) -> str:
        with arena.copy() as case:
            tampering.do(case)
            faults = {each.fault for each in FINDERS[tampering.finder](case)}
        if faults & tampering.faults:
            return " or ".join(sorted(faults & tampering.faults))
        missed.append(tampering.name)
        return f"NOT FOUND (found: {', '.join(sorted(faults)) or 'nothing'})"

    with tempfile.TemporaryDirectory(prefix="autocom-tamper-") as folder:
        arena = Arena(base=Path(folder))
        try:
            arena.build()
            for line in matrix(outcome):
                print(line, flush=True)
        finally:
            arena.remove()
    print(f"\n{len(missed)} not found{': ' if missed else ''}{', '.join(missed)}")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
