"""What the run ran on, as it was captured at the run's end."""

from __future__ import annotations

from pathlib import Path

from evidence.bundles.errors import NotThere
from evidence.bundles.parts.files import copy
from evidence.bundles.run import Run
from evidence.runs.folders import ENVIRONMENT

PATHS = ("data/environment/environment.json",)


def collect(run: Run, into: Path) -> None:
    source = run.folder.path / ENVIRONMENT
    if not source.is_file():
        raise NotThere("it was not captured at the run's end, and what is here now may be another one")
    copy(source, into / PATHS[0])
