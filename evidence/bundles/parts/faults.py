"""The result of the fault suite on the same commit."""

from __future__ import annotations

from pathlib import Path

from django.conf import settings

from evidence.bundles.errors import NotThere
from evidence.bundles.parts.code import check_same_code
from evidence.bundles.parts.files import copy
from evidence.bundles.run import Run
from evidence.gates.facts import CODE_OF_FAULTS

FILES = ("faults.json", "faults.md")
PATHS = tuple(f"data/faults/{name}" for name in FILES)


def default_folder() -> Path:
    root: Path = settings.AUTOCOM.evidence_root
    return root / "faults"


def collect(run: Run, into: Path, *, folder: Path) -> None:
    if not all((folder / name).is_file() for name in FILES):
        raise NotThere(
            f"no result of the fault suite was given: run it with `make faults FAULTS='--out {_told(folder)}'`"
        )
    check_same_code(folder / FILES[0], run, by=CODE_OF_FAULTS, maker="the fault suite")
    for name in FILES:
        copy(folder / name, into / "data/faults" / name)


def _told(folder: Path) -> str:
    """Below EVIDENCE_ROOT without the root: the bundle says nothing about this machine's folders."""
    return "EVIDENCE_ROOT/faults" if folder == default_folder() else folder.name
