"""Where runs are, and which there are."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from django.conf import settings

from evidence.errors import EvidenceError

JOURNAL, SAMPLES, ACKS, SUMMARY = "journal.jsonl", "samples.csv", "ack.hlog", "summary.json"
ENVIRONMENT, RECEIVER = "environment.json", "receiver.hlog"
RUN_FILES = (JOURNAL, SAMPLES, ACKS, SUMMARY, ENVIRONMENT, RECEIVER)
LATEST = "latest"
RUN_ID = re.compile(r"r\d{8}T\d{6}-[0-9a-f]{6}")


class RunUnknown(EvidenceError):
    """No folder holds this run."""

    code = "run_unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class RunFolder:
    """A run that came to its end. `verdict` is the replay's own, of the figures alone."""

    path: Path
    run_id: str
    provider: str
    verdict: str
    began_at: datetime


def runs_root() -> Path:
    root: Path = settings.AUTOCOM.evidence_root
    return root / "runs"


def runs() -> list[RunFolder]:
    """Those below EVIDENCE_ROOT, the newest first. Folders without a readable summary are left out."""
    if not runs_root().is_dir():
        return []
    found = [_read(path) for path in sorted(runs_root().iterdir(), reverse=True) if RUN_ID.fullmatch(path.name)]
    return [each for each in found if each is not None]


def run_folder(asked: str) -> RunFolder:
    """By run id, by the path of its folder, or `latest`. Raises RunUnknown."""
    if asked == LATEST:
        newest = next(iter(runs()), None)
        if newest is None:
            raise RunUnknown(f"there is no run in {runs_root()}: `manage.py replay` makes one")
        return newest
    path = runs_root() / asked if RUN_ID.fullmatch(asked) else Path(asked)
    found = _read(path)
    if found is None:
        raise RunUnknown(f"{asked}: no folder of a run; give a run id such as r20260102T030405-0a0b0c, or its folder")
    return found


def kept_run(run_id: str) -> RunFolder:
    """Of a run below EVIDENCE_ROOT, and of no other folder, whatever is asked. Raises RunUnknown."""
    found = _read(runs_root() / run_id) if RUN_ID.fullmatch(run_id) else None
    if found is None:
        raise RunUnknown(f"{run_id[:80]!r}: there is no such run below EVIDENCE_ROOT")
    return found


def began_at(run_id: str) -> datetime:
    """As the run's id tells. Raises ValueError for what is none."""
    return datetime.strptime(run_id[1:16], "%Y%m%dT%H%M%S").replace(tzinfo=UTC)


def _read(path: Path) -> RunFolder | None:
    try:
        summary: dict[str, Any] = json.loads((path / SUMMARY).read_bytes())
        run_id = summary["run_id"]
        return RunFolder(
            path=path,
            run_id=run_id,
            provider=summary["provider"],
            verdict=summary["verdict"],
            began_at=began_at(run_id),
        )
    except (OSError, ValueError, KeyError, TypeError):
        return None
