"""Every run of the gate since its specification was frozen, failures too, as the bundle's own audit log tells."""

from __future__ import annotations

import csv
import io
from pathlib import Path

from evidence.bundles.errors import NotThere
from evidence.bundles.parts.files import write
from evidence.bundles.run import Run
from evidence.gates.history import COLUMNS, freeze_before, read_acts, runs_since

PATH = "data/gate/runs.csv"
PATHS = (PATH,)


def collect(run: Run, into: Path, *, gate_name: str) -> None:
    """After the audit log's part. Raises NotThere."""
    try:
        acts = read_acts(into / "data/audit/entries.jsonl")
    except OSError as error:
        raise NotThere("the audit log is not in the bundle, which would name the runs") from error
    freeze = freeze_before(acts, gate=gate_name, run_id=run.run_id)
    if freeze is None:
        raise NotThere(f"gate {gate_name} was not frozen before the run: `manage.py gate freeze {gate_name}`")
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([COLUMNS, *runs_since(acts, freeze)])
    write(into / PATH, text.getvalue())
