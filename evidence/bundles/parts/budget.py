"""The run's own account of the error budgets, and the objectives that it is of."""

from __future__ import annotations

from pathlib import Path

from evidence.budget.run_ledger import LEDGER, OBJECTIVES, write
from evidence.bundles.run import Run

PATHS = (LEDGER, OBJECTIVES)


def collect(run: Run, into: Path) -> None:
    write(run.history, into / Path(LEDGER).parent)
