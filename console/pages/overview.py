"""Is it healthy? Rate, backlog, latency, dead letters and workers, each with where it leads and how old it is."""

from typing import Any, override

from django.contrib.admin import AdminSite
from django.http import HttpRequest

from console.access import Permission
from console.guards import GuardedPage
from console.pages.overview_figures import OverviewFiguresContent, figures_of
from console.pages.overview_snapshot import OverviewSources, SnapshotCache, Window

POLL_SECONDS = 5
SNAPSHOTS = SnapshotCache(sources=OverviewSources())


def asked_window(request: HttpRequest) -> Window:
    """The window of `?last=`; the shortest for an unknown one."""
    try:
        return Window(request.GET.get("last", Window.MINUTES))
    except ValueError:
        return Window.MINUTES


class OverviewFigures(GuardedPage):
    """The figures alone, for the page to poll. Each part names the element that it replaces."""

    permission = Permission.OVERVIEW_READ
    template_name = "console/overview_figures.html"
    site: AdminSite | None = None

    @override
    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        return {"figures": self.figures(), **super().get_context_data(**kwargs)}

    def figures(self) -> OverviewFiguresContent:
        may_see = self.request.user.has_perm
        return figures_of(SNAPSHOTS.snapshot(asked_window(self.request)), may_see=may_see)


class OverviewPage(OverviewFigures):
    """The whole page, complete without JavaScript."""

    template_name = "console/overview.html"

    @override
    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        assert self.site is not None  # noqa: S101  (set by the site that routes here)
        self.request.current_app = self.site.name
        asked = asked_window(self.request)
        return {
            **self.site.each_context(self.request),
            **super().get_context_data(**kwargs),
            "title": "Overview",
            "subtitle": None,
            "windows": [(window.value, window.span, window is asked) for window in Window],
            "asked_window": asked.value,
            "poll_seconds": POLL_SECONDS,
        }
