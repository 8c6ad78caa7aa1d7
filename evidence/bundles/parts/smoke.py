"""The short run before the run: the newest of gate `smoke` that the audit log has before it, on the same commit."""

from __future__ import annotations

import json
from pathlib import Path

from evidence.audit import Act
from evidence.bundles.errors import NotThere
from evidence.bundles.parts.files import copy
from evidence.bundles.run import Run
from evidence.models import AuditEntry
from evidence.runs.finish import digests, subject_of
from evidence.runs.folders import ENVIRONMENT, JOURNAL, SUMMARY, RunFolder, RunUnknown, kept_run

GATE = "smoke"
FILES = (JOURNAL, SUMMARY)
PATHS = tuple(f"data/smoke/{name}" for name in FILES)


def collect(run: Run, into: Path) -> None:
    entry = _entry(run)
    try:
        folder = kept_run(str(entry.facts["run_id"]))
    except RunUnknown as error:
        raise NotThere(f"the smoke run's files are gone: {error}") from error
    if digests(folder.path) != entry.facts.get("files"):
        raise NotThere(f"the files of the smoke run {folder.run_id} are not those that its audit entry names")
    if _commit(folder) != run.commit:
        raise NotThere(f"the smoke run {folder.run_id} was of another commit than the run")
    for name in FILES:
        copy(folder.path / name, into / "data/smoke" / name)


def _entry(run: Run) -> AuditEntry:
    runs = AuditEntry.objects.filter(act=Act.REPLAY_RUN.value)
    own = runs.filter(subject=subject_of(run.run_id)).order_by("number").first()
    if own is None:
        raise NotThere("the audit log has no entry of the run: nothing says which smoke run came before")
    found = runs.filter(number__lt=own.number, facts__gate=GATE).order_by("-number").first()
    if found is None:
        raise NotThere("there was no smoke run before: `manage.py replay --gate smoke --count 1000`")
    return found


def _commit(folder: RunFolder) -> str:
    try:
        return str(json.loads((folder.path / ENVIRONMENT).read_bytes())["autocom"]["commit"])
    except (OSError, ValueError, KeyError, TypeError):
        return ""
