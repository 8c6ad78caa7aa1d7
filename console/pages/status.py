"""Where do we stand, and who is asked for what? The report of `manage.py status_report`, read now."""

from __future__ import annotations

from typing import Any, override

from django.contrib.admin import AdminSite
from django.urls import reverse

from console.access import Permission
from console.guards import GuardedPage
from console.shown import moment
from evidence.status.sections import sections
from evidence.status.standing import Standing, read_standing


class StatusPage(GuardedPage):
    permission = Permission.GATE_READ
    template_name = "console/status.html"
    site: AdminSite | None = None

    @override
    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        assert self.site is not None  # noqa: S101  (set by the site that routes here)
        self.request.current_app = self.site.name
        standing = read_standing()
        return {
            **self.site.each_context(self.request),
            **super().get_context_data(**kwargs),
            "title": "Status report",
            "subtitle": None,
            "read_at": moment(standing.at, now=standing.at),
            "sections": sections(standing),
            "bundles": bundles(standing) if self.request.user.has_perm(Permission.EVIDENCE_READ) else [],
        }


def bundles(standing: Standing) -> list[tuple[str, str]]:
    """Each gate's newest bundle, where the sources of its criteria are."""
    gates = [gate for gate in standing.gates.value or () if gate.bundle is not None]
    return [(gate.spec.name, reverse("admin:bundle", args=[gate.bundle.artifact_id])) for gate in gates if gate.bundle]
