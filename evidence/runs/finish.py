"""The end of a run: what only now can be captured, and the run's entry in the audit log."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from django.db import transaction

from evidence.audit import Act, Actor, record
from evidence.models import AuditEntry
from evidence.runs.environment import environment_of_run
from evidence.runs.folders import ENVIRONMENT, RECEIVER, RUN_FILES
from evidence.runs.receiver import write_receiver_log
from ingestion.replay.files import write_files
from ingestion.replay.history import History
from ingestion.replay.report import Report, summary

# counts of the summary that the entry repeats; ratios and times are floats and stay in the file, whose digest it has
COUNTS = (
    *("planned", "sent", "accepted", "acknowledged", "lost", "idempotency_violations", "order_violations"),
    *("corrupted", "unexpected", "misplaced", "without_receipt", "stored"),
)


def keep_run(folder: Path | None, report: Report, *, actor: Actor) -> AuditEntry:
    """Every file of the run, where there is a folder for them, and its entry.

    Raises OSError, django.db.Error, AuditLogBusy.
    """
    if folder is not None:
        write_files(folder, report)
        capture(folder, report.result.history, acknowledged_count=report.result.figures.acknowledged)
    return record_run(folder, summary(report), actor=actor)


def capture(folder: Path, history: History, *, acknowledged_count: int) -> None:
    """`environment.json` and, where the service measured anything, `receiver.hlog`. Raises OSError, django.db.Error."""
    environment = environment_of_run(captured_at=datetime.now(UTC))
    (folder / ENVIRONMENT).write_text(json.dumps(environment, indent=2, sort_keys=True) + "\n", encoding="utf-8")
    write_receiver_log(folder / RECEIVER, history, acknowledged_count=acknowledged_count)


def record_run(folder: Path | None, summary: Mapping[str, Any], *, actor: Actor) -> AuditEntry:
    """The entry of a run; without a folder it has no digests. Raises django.db.Error, AuditLogBusy."""
    facts = {
        "run_id": summary["run_id"],
        "provider": summary["provider"],
        "gate": str(summary["gate"]),
        "verdict": str(summary["verdict"]),
        "seed": summary["seed"],
        "counts": {name: summary[name] for name in COUNTS},
        "files": {} if folder is None else digests(folder),
    }
    with transaction.atomic():
        return record(Act.REPLAY_RUN, actor=actor, subject=subject_of(summary["run_id"]), facts=facts)


def subject_of(run_id: str) -> str:
    return f"run {run_id}"


def digests(folder: Path) -> dict[str, str]:
    """SHA-256 of each file of the run that is there, in hexadecimal."""
    return {name: _digest(folder / name) for name in RUN_FILES if (folder / name).is_file()}


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
