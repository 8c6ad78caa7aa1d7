"""Who may do what: declared, and seen by the last probe. Roles across, routes down, what does not match first."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, override

from django.contrib.admin import AdminSite

from console.access import Permission
from console.guards import GuardedPage
from console.models import RbacRun
from console.rbac.probe import Verdict
from console.rbac.runs import STALE, changes, is_stale
from console.shown import moment, short_digest

CHANGES_SHOWN_COUNT = 200


@dataclass(frozen=True, slots=True)
class CellShown:
    text: str
    is_bad: bool


@dataclass(frozen=True, slots=True)
class LineShown:
    route: str
    methods: str
    rule: str
    cells: list[CellShown]

    @property
    def is_bad(self) -> bool:
        return any(cell.is_bad for cell in self.cells)


class RbacPage(GuardedPage):
    permission = Permission.RBAC_READ
    template_name = "console/rbac.html"
    site: AdminSite | None = None

    @override
    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        assert self.site is not None  # noqa: S101  (set by the site that routes here)
        self.request.current_app = self.site.name
        run, before = [*RbacRun.objects.all()[:2], None, None][:2]
        return {
            **self.site.each_context(self.request),
            **super().get_context_data(**kwargs),
            "title": "RBAC matrix",
            **({} if run is None else _shown(run, before)),
        }


def _shown(run: RbacRun, before: RbacRun | None) -> dict[str, Any]:
    found = [] if before is None else changes(before, run)
    return {
        "run": run,
        "when": moment(run.at),
        "digest": short_digest(run.matrix_sha256),
        "is_stale": is_stale(run),
        "lines": sorted((_line(line, is_stale=is_stale(run)) for line in run.lines), key=lambda line: not line.is_bad),
        "before": None if before is None else moment(before.at),
        "changes": found[:CHANGES_SHOWN_COUNT],
        "change_count": len(found),
    }


def _line(line: dict[str, Any], *, is_stale: bool) -> LineShown:
    """Of other code every cell is STALE, and none of them is good."""
    cells = [
        _cell(answered, STALE if is_stale and verdict == Verdict.MATCH else verdict)
        for answered, verdict in line["cells"]
    ]
    return LineShown("/" + line["route"], " ".join(line["methods"]), line["rule"], cells)


def _cell(answered: str, verdict: str) -> CellShown:
    is_bad = verdict != Verdict.MATCH
    return CellShown(f"{answered} {verdict}" if is_bad else answered, is_bad)
