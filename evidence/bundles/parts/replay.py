"""What the generator wrote, byte by byte."""

from __future__ import annotations

from pathlib import Path

from evidence.bundles.errors import NotThere
from evidence.bundles.parts.files import copy
from evidence.bundles.run import Run
from evidence.runs.folders import ACKS, JOURNAL, SAMPLES, SUMMARY

FILES = (JOURNAL, SAMPLES, ACKS, SUMMARY)
PATHS = tuple(f"data/replay/{name}" for name in FILES)


def collect(run: Run, into: Path) -> None:
    absent = [name for name in FILES if not (run.folder.path / name).is_file()]
    for name in set(FILES) - set(absent):
        copy(run.folder.path / name, into / "data/replay" / name)
    if absent:
        raise NotThere(f"the run's folder has no {', '.join(absent)}")
