"""Is anything stuck? Lanes, workers and RQ's queues as they are now; a lane can be paused, resumed and woken."""

from __future__ import annotations

from typing import Any, override

from django.conf import settings
from django.contrib import messages
from django.contrib.admin import AdminSite
from django.db import Error
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse

from console.access import Permission
from console.actions.lanes import (
    PERMISSION,
    REASON_LIMIT_CHARS,
    LaneRefused,
    pause_lane,
    resume_lane,
    wake_lane,
)
from console.actions.operator import Operator, check
from console.guards import GuardedPage
from console.pages.pipeline_figures import LOOKS, PipelineFigures
from console.roles import PERMISSIONS_BY_ROLE
from ingestion.buffer.store import BufferUnavailable

POLL_SECONDS = 2
ACTS = {
    "pause": (pause_lane, "Lane {} is paused. It takes events until its bound, and commits none of them."),
    "resume": (resume_lane, "Lane {} is drained again."),
    "wake": (wake_lane, "Lane {} was rung."),
}


class PipelineFiguresPart(GuardedPage):
    """The figures alone, for the page to poll."""

    permission = Permission.LANE_READ
    template_name = "console/pipeline_figures.html"
    site: AdminSite | None = None

    @override
    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        return {"figures": self.figures(), **super().get_context_data(**kwargs)}

    def figures(self) -> PipelineFigures:
        return LOOKS.look()

    @override
    def render_to_response(self, context: dict[str, Any], **kwargs: Any) -> HttpResponse:
        answer: HttpResponse = super().render_to_response(context, **kwargs)
        answer.headers["Cache-Control"] = "no-store"
        return answer


class PipelinePage(PipelineFiguresPart):
    """The whole page, complete without JavaScript. A POST is an act on one lane."""

    template_name = "console/pipeline.html"
    http_method_names = ["get", "head", "options", "post"]

    @override
    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        assert self.site is not None  # noqa: S101  (set by the site that routes here)
        self.request.current_app = self.site.name
        holders = [role.value for role, held in PERMISSIONS_BY_ROLE.items() if PERMISSION in held]
        asked = self.request.GET.get("lane", "")
        return {
            **self.site.each_context(self.request),
            **super().get_context_data(**kwargs),
            "title": "Workers, lanes and queues",
            "subtitle": None,
            "poll_seconds": POLL_SECONDS,
            "acts": list(ACTS),
            "asked_lane": asked,
            "lane_numbers": [str(lane) for lane in range(settings.AUTOCOM.lanes)],
            "reason_limit": REASON_LIMIT_CHARS,
            "may_operate": self.request.user.has_perm(PERMISSION),
            "missing": f"Pausing, resuming and waking takes the permission {PERMISSION.value}:"
            f" {' and '.join(holders)} have it",
        }

    def post(self, request: HttpRequest) -> HttpResponse:
        operator = Operator.signed_in(request.user)
        name, lane = request.POST.get("act", ""), request.POST.get("lane", "")
        act, done = ACTS.get(name, (None, ""))
        number = int(lane) if lane.isdecimal() and len(lane) <= 5 else -1
        if act is None:
            check(operator, PERMISSION, subject="an act on a lane")
            messages.error(request, "Choose pause, resume or wake.")
            return _back("")
        try:
            entry = act(operator, number, reason=request.POST.get("reason", ""))
        except LaneRefused as refused:
            messages.error(request, f"Nothing was done: {refused}.")
        except (BufferUnavailable, Error):
            messages.error(request, "Nothing was done: Redis or PostgreSQL cannot be asked.")
        else:
            needed = (
                "" if entry.facts.get("rung", True) else " It has no entries, or somebody is at work on it already."
            )
            messages.success(request, f"{done.format(number)}{needed} Audit entry {entry.number}.")
            LOOKS.forget()
        return _back(lane)


def _back(lane: str) -> HttpResponseRedirect:
    query = f"?lane={lane}" if lane.isdecimal() else ""
    return HttpResponseRedirect(f"{reverse('admin:pipeline')}{query}")
