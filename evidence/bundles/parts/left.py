"""What other commands leave below EVIDENCE_ROOT: the matrix of permissions, the drill of the way back."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path

from django.conf import settings

from evidence.bundles.errors import NotThere
from evidence.bundles.parts.code import check_same_code
from evidence.bundles.parts.files import copy
from evidence.bundles.run import Run
from evidence.gates.facts import CODE_OF_LEFT

RBAC_PATHS = ("data/rbac/matrix.csv", "data/rbac/summary.json")
DRILL_PATHS = ("data/rollback/drill.json",)


def _collect(run: Run, into: Path, *, paths: Sequence[str], command: str) -> None:
    """The last of `paths` says which code it is of."""
    root: Path = settings.AUTOCOM.evidence_root
    places = {path: root / path.removeprefix("data/") for path in paths}
    if not all(place.is_file() for place in places.values()):
        raise NotThere(f"it was not made yet: `manage.py {command}`")
    check_same_code(places[paths[-1]], run, by=CODE_OF_LEFT, maker=f"`manage.py {command}`")
    for path, place in places.items():
        copy(place, into / path)


collect_rbac = partial(_collect, paths=RBAC_PATHS, command="rbac_matrix")
collect_drill = partial(_collect, paths=DRILL_PATHS, command="rollback_drill")
