"""What other commands leave below EVIDENCE_ROOT: the matrix of permissions, the drill of the way back."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from django.conf import settings

from evidence.bundles.errors import NotThere
from evidence.bundles.parts.files import copy
from evidence.bundles.run import UNKNOWN, Run

RBAC_PATHS = ("data/rbac/matrix.csv", "data/rbac/summary.json")
DRILL_PATHS = ("data/rollback/drill.json",)


def _collect(run: Run, into: Path, *, paths: Sequence[str], command: str) -> None:
    """The last of `paths` says which commit it is of."""
    root: Path = settings.AUTOCOM.evidence_root
    places = {path: root / path.removeprefix("data/") for path in paths}
    if not all(place.is_file() for place in places.values()):
        raise NotThere(f"it was not made yet: `manage.py {command}`")
    try:
        commit = str(json.loads(places[paths[-1]].read_bytes())["commit"])
    except (ValueError, KeyError, TypeError) as error:
        raise NotThere(f"{Path(paths[-1]).name} cannot be read: {error!r}") from error
    if commit != run.commit or commit == UNKNOWN:
        raise NotThere(f"`manage.py {command}` ran on commit {commit[:12]}, the run on {run.commit[:12]}")
    for path, place in places.items():
        copy(place, into / path)


collect_rbac = partial(_collect, paths=RBAC_PATHS, command="rbac_matrix")
collect_drill = partial(_collect, paths=DRILL_PATHS, command="rollback_drill")
