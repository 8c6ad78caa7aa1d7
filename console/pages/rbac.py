"""Who may do what: declared, and seen by a probe. Roles across, routes down, what does not match first."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, override

from django.contrib import messages
from django.contrib.admin import AdminSite
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils.safestring import SafeString

from console.access import Permission
from console.actions.operator import Operator
from console.actions.rbac import ask_for_probe
from console.guards import GuardedPage
from console.models import RbacOrder, RbacRun
from console.rbac.kept import STATES, Filter, KeptLine, kept_csv, lines
from console.rbac.orders import OPEN
from console.rbac.runs import changes, is_stale
from console.shown import moment, short_digest

CHANGES_SHOWN_COUNT = 200
RUNS_OFFERED_COUNT = 50
POLL_SECONDS = 2
STOP_POLLING = 286


@dataclass(frozen=True, slots=True)
class OrderShown:
    order: RbacOrder
    asked: SafeString | str
    settled: SafeString | str
    address: str

    @property
    def is_open(self) -> bool:
        return self.order.state in OPEN

    @property
    def is_failed(self) -> bool:
        return self.order.state == RbacOrder.State.FAILED

    @property
    def percent(self) -> int:
        return 100 * self.order.done_count // self.order.cell_count if self.order.cell_count else 0


@dataclass(frozen=True, slots=True)
class LineShown:
    route: str
    methods: str
    rule: str
    cells: list[tuple[str, bool]]  # the text, and whether it is bad


class RbacPage(GuardedPage):
    """A POST asks for a probe; `run` and `against` of the address choose two, the newest two without them."""

    permission = Permission.RBAC_READ
    template_name = "console/rbac.html"
    http_method_names = ["get", "head", "options", "post"]
    site: AdminSite | None = None

    @override
    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        assert self.site is not None  # noqa: S101  (set by the site that routes here)
        self.request.current_app = self.site.name
        query = self.request.GET
        run = chosen_run(query.get("run", ""))
        return {
            **self.site.each_context(self.request),
            **super().get_context_data(**kwargs),
            "title": "RBAC matrix",
            "may_run": self.request.user.has_perm(Permission.RBAC_RUN),
            "order": newest_order(),
            "poll_seconds": POLL_SECONDS,
            **({} if run is None else _shown(run, _before(run, query.get("against", "")), Filter.of(query.dict()))),
        }

    def post(self, request: HttpRequest) -> HttpResponse:
        asked = ask_for_probe(Operator.signed_in(request.user))
        messages.success(request, f"Probe {asked.pk} is asked for: this page shows how far it is.")
        return HttpResponseRedirect(reverse("admin:rbac"))


class RbacProgress(GuardedPage):
    """How far the probe is, for the page to poll. The answer says when there is no more to come."""

    permission = Permission.RBAC_READ
    template_name = "console/_rbac_progress.html"
    site: AdminSite | None = None

    @override
    def get(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        found = newest_order()
        answer = self.render_to_response({"order": found})
        answer.status_code = 200 if found is not None and found.is_open else STOP_POLLING
        answer["Cache-Control"] = "no-store"
        return answer


class RbacExport(GuardedPage):
    """The cells that the page shows, as CSV."""

    permission = Permission.RBAC_READ
    site: AdminSite | None = None

    @override
    def get(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        run = chosen_run(request.GET.get("run", ""))
        if run is None:
            return HttpResponseRedirect(reverse("admin:rbac"))
        name = f"rbac-matrix-{run.at:%Y%m%dT%H%M%SZ}.csv"
        headers = {"Content-Disposition": f'attachment; filename="{name}"', "Cache-Control": "no-store"}
        return HttpResponse(kept_csv(run, Filter.of(request.GET.dict())), content_type="text/csv", headers=headers)


def newest_order() -> OrderShown | None:
    order = RbacOrder.objects.first()
    if order is None:
        return None
    address = f"{reverse('admin:rbac')}?run={order.run_id}" if order.run_id else ""
    return OrderShown(order, moment(order.asked_at), moment(order.settled_at), address)


def chosen_run(number: str) -> RbacRun | None:
    """The one of this number, or the newest."""
    rows = RbacRun.objects.all()
    return (rows.filter(pk=int(number)).first() if _is_number(number) else None) or rows.first()


def _before(run: RbacRun, number: str) -> RbacRun | None:
    others = RbacRun.objects.exclude(pk=run.pk)
    chosen = others.filter(pk=int(number)).first() if _is_number(number) else None
    return chosen or others.filter(pk__lt=run.pk).first()


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) < 18


def _shown(run: RbacRun, before: RbacRun | None, asked: Filter) -> dict[str, Any]:
    found = [] if before is None else changes(before, run)
    rows = lines(run, asked)
    return {
        "run": run,
        "when": moment(run.at),
        "digest": short_digest(run.matrix_sha256),
        "is_stale": is_stale(run),
        "personas": [name for name in run.personas if asked.persona in ("", name)],
        "lines": [_line(line) for line in rows],
        "bad_count": sum(line.is_bad for line in rows),
        "asked": asked,
        "states": STATES,
        "runs": [(each.pk, str(each)) for each in RbacRun.objects.defer("lines")[:RUNS_OFFERED_COUNT]],
        "export": f"{reverse('admin:rbac_export')}?run={run.pk}&{asked.query}".rstrip("&"),
        "against": before,
        "before": None if before is None else moment(before.at),
        "changes": found[:CHANGES_SHOWN_COUNT],
        "change_count": len(found),
    }


def _line(line: KeptLine) -> LineShown:
    cells = [
        (f"{cell.answered} {cell.state}" if cell.is_bad else cell.answered, cell.is_bad) for cell in line.cells.values()
    ]
    return LineShown("/" + line.route, " ".join(line.methods), line.rule, cells)
