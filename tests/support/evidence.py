"""An evidence store of a test's own."""

from __future__ import annotations

import dataclasses
import hashlib
from pathlib import Path
from typing import Any

from console.actions.evidence_store import Uploaded, upload
from console.actions.operator import Operator
from evidence.store import staging

LIMIT_BYTES = 2_000_000


def use_store(settings: Any, root: Path, **changed: Any) -> Path:
    """EVIDENCE_ROOT is `root` for this test; other settings by their names in the environment object."""
    wanted = {"evidence_root": root, "evidence_limit_bytes": LIMIT_BYTES, **changed}
    settings.AUTOCOM = dataclasses.replace(settings.AUTOCOM, **wanted)
    return root


def digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def place_of(root: Path, sha256: str) -> Path:
    return root / "artifacts" / sha256[:2] / sha256[2:4] / sha256


def uploaded(data: bytes, *, name: str = "run.json", note: str = "") -> Uploaded:
    with staging(limit_bytes=LIMIT_BYTES) as into:
        return upload(Operator.command_line("tester"), into.take([data]), name=name, note=note)
