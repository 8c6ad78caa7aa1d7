"""A run as its folder and the database tell it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from typing import Any

from evidence.bundles.errors import BundleRefused
from evidence.runs.folders import ENVIRONMENT, JOURNAL, SUMMARY, RunFolder
from ingestion.replay.errors import GeneratorError
from ingestion.replay.history import History
from ingestion.replay.journal import read_journal
from ingestion.replay.stored import Stored, stored_rows

NS_PER_SECOND = 1_000_000_000
UNKNOWN = "unknown"


@dataclass(frozen=True, kw_only=True)
class Run:
    """`environment` is empty where the replay could not capture it."""

    folder: RunFolder
    history: History
    summary: Mapping[str, Any]
    environment: Mapping[str, Any]

    @property
    def run_id(self) -> str:
        return self.folder.run_id

    @property
    def ended_at(self) -> datetime:
        """The last answer, cut to the second: the time of everything in the bundle, whenever it is made."""
        return datetime.fromtimestamp(self.history.wall_ns(self.history.end_ns) // NS_PER_SECOND, tz=UTC)

    @property
    def code(self) -> Mapping[str, Any]:
        """`commit`, `is_changed`, `build`: what it ran on. Empty where nobody could tell."""
        code: Mapping[str, Any] = self.environment.get("autocom", {})
        return code

    @property
    def commit(self) -> str:
        return str(self.code.get("commit", UNKNOWN))

    @cached_property
    def stored(self) -> Stored:
        """Raises django.db.Error."""
        return stored_rows(self.history)


def read_run(folder: RunFolder) -> Run:
    """Raises BundleRefused."""
    try:
        history = read_journal(folder.path / JOURNAL)
        summary = json.loads((folder.path / SUMMARY).read_bytes())
        environment = _environment(folder)
    except (OSError, ValueError, GeneratorError) as error:
        raise BundleRefused(f"run {folder.run_id}: its files cannot be read: {error}") from error
    if history.run_id != folder.run_id:
        raise BundleRefused(f"{folder.path}: the journal is of {history.run_id}, the summary of {folder.run_id}")
    return Run(folder=folder, history=history, summary=summary, environment=environment)


def _environment(folder: RunFolder) -> Mapping[str, Any]:
    path = folder.path / ENVIRONMENT
    return json.loads(path.read_bytes()) if path.is_file() else {}
