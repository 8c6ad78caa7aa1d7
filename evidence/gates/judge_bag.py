"""The verdict on a bundle's folder, from the folder alone: as it is made, and whenever somebody asks again. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any

from evidence.gates.evaluate import GateVerdict, evaluate
from evidence.gates.facts import AUDIT, SPEC, SUMMARY, facts_of
from evidence.gates.history import read_acts, run_entry
from evidence.gates.spec import GateSpec
from evidence.runs.folders import RUN_FILES
from ingestion.replay.journal import read_journal

NS_PER_SECOND = 1_000_000_000
JOURNAL, VERDICT = "data/replay/journal.jsonl", "data/gate/verdict.json"
MADE = frozenset({SPEC, VERDICT})  # required or not, they are written with the verdict
HOMES = ("data/replay", "data/environment", "data/latency")  # of a run's files


def judged_bag(bag: Path) -> GateVerdict:
    """By the specification in it. Raises OSError, ValueError, KeyError, GeneratorError, GateUnknown."""
    spec = GateSpec.parse((bag / SPEC).read_bytes())
    summary: dict[str, Any] = json.loads((bag / SUMMARY).read_bytes())
    return evaluate(
        spec,
        {**summary, **facts_of(bag)},
        missing=[path for path in spec.required_files if path not in MADE and not (bag / path).is_file()],
        doubts=[*summary["doubts"], *_changed_files(bag, str(summary["run_id"]))],
        ended_at=ended_at(bag),
    )


def ended_at(bag: Path) -> datetime:
    """The run's last answer, cut to the second."""
    history = read_journal(bag / JOURNAL)
    return datetime.fromtimestamp(history.wall_ns(history.end_ns) // NS_PER_SECOND, tz=UTC)


def _changed_files(bag: Path, run_id: str) -> Iterator[str]:
    """What the audit log says of the run's files, which lay in a folder that anybody with a shell could write."""
    recorded = _recorded(bag, run_id)
    for name in RUN_FILES:
        path = next((bag / home / name for home in HOMES if (bag / home / name).is_file()), None)
        if name in recorded and path and sha256(path.read_bytes()).hexdigest() != recorded[name]:
            yield f"{name} is not the file that the run's audit entry names"


def _recorded(bag: Path, run_id: str) -> Mapping[str, Any]:
    if not (bag / AUDIT).is_file():
        return {}
    entry = run_entry(read_acts(bag / AUDIT), run_id)
    files = entry.facts.get("files") if entry else None
    return files if isinstance(files, dict) else {}
