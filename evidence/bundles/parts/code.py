"""What others found out counts for a run where it was found on the run's own code."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from evidence.bundles.errors import NotThere
from evidence.bundles.run import Run
from evidence.gates.facts import UNREADABLE, is_same_code


def check_same_code(told_by: Path, run: Run, *, by: Sequence[str], maker: str) -> None:
    """`told_by`: a JSON file with the names of `by`, the commit first. Raises NotThere, which says what differs."""
    try:
        told = json.loads(told_by.read_bytes())
        commit, is_same = str(told["commit"]), is_same_code(told, run.code, by=by)
    except UNREADABLE as error:
        raise NotThere(f"{told_by.name} cannot be read: {error!r}") from error
    if is_same:
        return
    if commit != run.commit:
        raise NotThere(f"{maker} ran on commit {commit[:12]}, the run on {run.commit[:12]}")
    raise NotThere(
        f"{maker} and the run did not run on the same code: commit {commit[:12]}, with changes that it has not."
        " Commit them and run both again"
    )
