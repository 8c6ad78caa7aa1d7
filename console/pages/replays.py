"""Replay runs: did every event arrive, once and in order, in time? Plan one, confirm, watch, cancel, compare."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, override

from django.contrib import messages
from django.contrib.admin import AdminSite
from django.core.paginator import Paginator
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse

from autocom.kernel.clock import SYSTEM_CLOCK, datetime_of
from autocom.kernel.errors import AutocomError
from console.access import Permission
from console.actions.operator import Operator
from console.actions.replays import cancel_replay, start_replay
from console.guards import GuardedPage
from console.orders import is_live
from console.pages.orders import Offered, OrderProgress, parts_of
from console.pages.overview_figures import ChartPart
from console.replays import (
    chart_of,
    compared,
    criteria_of,
    others_of,
    progress_of,
    result_of,
    row_of,
    sentence_of,
    state_of,
)
from console.roles import PERMISSIONS_BY_ROLE
from console.shown import age, moment
from evidence.gates.freeze import frozen, sha256_of
from evidence.gates.spec import gate, gate_names
from evidence.runs.asked import BOUNDS, Asked, Bound, ReplayRefused, provider_names, refuse_what_cannot_be
from evidence.runs.configure import own_ingress
from evidence.runs.orders import REASON_LIMIT_CHARS, refuse_while_another_is_under_way
from evidence.runs.results import KnownRun, known_run, known_runs, verdicts_by_run
from ingestion.provider_book import DEFAULT
from ingestion.replay.verdict import GATE_A, Outcome

SHOWN_COUNT = 25
OFFERED_COUNT = 50  # other runs to compare with


class ReplaysPage(GuardedPage):
    """Every run that anything knows of, from here or from a command line."""

    permission = Permission.EVIDENCE_READ
    template_name = "console/replays.html"
    site: AdminSite | None = None

    @override
    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        asked = self.request.GET.get("verdict", "")
        verdicts = verdicts_by_run()
        ids = [run_id for run_id, verdict in verdicts.items() if not asked or verdict == asked]
        page = Paginator(ids, SHOWN_COUNT).get_page(self.request.GET.get("page"))
        return {
            **_site(self).each_context(self.request),
            **super().get_context_data(**kwargs),
            "title": "Replays",
            "rows": [row_of(run) for run in known_runs(list(page.object_list))],
            "page": page,
            "run_count": len(verdicts),
            "asked": asked,
            "verdicts": [each.value for each in Outcome],
            **_may_start(self.request),
        }


class PlanReplayPage(GuardedPage):
    """The form; with an answer in the address, what the run would be. A POST of that starts it."""

    permission = Permission.REPLAY_START
    template_name = "console/replay_plan.html"
    http_method_names = ["get", "head", "options", "post"]
    site: AdminSite | None = None

    @override
    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        given: Mapping[str, str] = self.request.POST or self.request.GET
        asked, complaint = None, kwargs.get("complaint", "")
        if given:
            try:
                asked = asked_in(given)
                refuse_what_cannot_be(asked)
                refuse_while_another_is_under_way()
            except AutocomError as error:
                asked, complaint = None, str(error)
        return {
            **_site(self).each_context(self.request),
            **super().get_context_data(**kwargs),
            "title": "Plan a replay",
            "fields": [(bound, given.get(bound.name, bound.default), _range(bound)) for bound in BOUNDS],
            "providers": provider_names(),
            "provider": given.get("provider", DEFAULT),
            "gates": gate_names(),
            "gate": given.get("gate", GATE_A),
            "complaint": complaint,
            "plan": asked,
            "facts": plan_facts(asked) if asked else [],
            "reason": given.get("reason", ""),
            "reason_limit": REASON_LIMIT_CHARS,
        }

    def post(self, request: HttpRequest) -> HttpResponse:
        try:
            made = start_replay(
                Operator.signed_in(request.user), asked_in(request.POST), reason=request.POST.get("reason", "")
            )
        except AutocomError as error:
            return self.render_to_response(self.get_context_data(complaint=str(error)))
        messages.success(request, f"Run {made.run_id} is asked for: this page shows how far it is.")
        return HttpResponseRedirect(reverse("admin:replay", args=[made.run_id]))


class ReplayProgress(OrderProgress):
    """Of a run, from here or from a command line."""

    permission = Permission.EVIDENCE_READ
    result_template = "console/_replay_result.html"

    @override
    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        run, now = _run(kwargs["run_id"]), datetime_of(us=SYSTEM_CLOCK.now_us())
        is_under_way = run.order is not None and is_live(run.order)
        may_start = _may_start(self.request)
        return {
            **super().get_context_data(**kwargs),
            "run": run,
            **parts_of(
                run.order,
                state=state_of(run),
                sentence=sentence_of(run),
                is_live=is_under_way,
                progress=progress_of(run.order, now=now) if run.order else None,
                poll_address=reverse("admin:replay_progress", args=[run.run_id]),
                cancel=Offered(
                    address=reverse("admin:replay_cancel", args=[run.run_id]),
                    words="Cancel the run",
                    then="it ends within seconds, then reconciles",
                    why_not="" if may_start["may_start"] else f"it {may_start['missing']}",
                    takes_reason=True,
                ),
            ),
            **(_result(run) if not is_under_way else {}),
            **may_start,
        }


class ReplayPage(ReplayProgress):
    """`?with=` another run puts the figures beside each other."""

    is_part = False
    template_name = "console/replay.html"

    @override
    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        context = super().get_context_data(**kwargs)
        run: KnownRun = context["run"]
        other = known_run(asked) if (asked := self.request.GET.get("with", "")) else None
        return {
            **_site(self).each_context(self.request),
            **context,
            "title": f"Replay {run.run_id}",
            "began": moment(run.began_at),
            "row": row_of(run),
            "asked": asked,
            "other": other,
            "compared": compared(run, other) if other else [],
            "others": others_of(run, verdicts_by_run())[:OFFERED_COUNT] if run.told else [],
        }


class CancelReplay(GuardedPage):
    """Posted to alone."""

    permission = Permission.REPLAY_START
    http_method_names = ["post", "options"]
    site: AdminSite | None = None

    def post(self, request: HttpRequest, run_id: str) -> HttpResponse:
        try:
            cancel_replay(Operator.signed_in(request.user), run_id, reason=request.POST.get("reason", ""))
        except AutocomError as error:
            messages.error(request, str(error))
        else:
            messages.success(request, "Cancelled: nothing more is sent, and what was acknowledged is reconciled.")
        found = known_run(run_id) is not None
        address = reverse("admin:replay", args=[run_id]) if found else reverse("admin:replays")
        return HttpResponseRedirect(address)


def asked_in(given: Mapping[str, str]) -> Asked:
    """Of a form or an address. Raises ReplayRefused for what is no number; bounds are somebody else's business."""
    numbers: dict[str, int] = {}
    for bound in BOUNDS:
        text = given.get(bound.name, str(bound.default)).strip()
        if not text.isascii() or not text.isdigit() or len(text) > 18:
            raise ReplayRefused(f"{bound.title}: “{text[:40]}” is no whole number")
        numbers[bound.name] = int(text)
    return Asked(provider=given.get("provider", DEFAULT), gate=given.get("gate", GATE_A), **numbers)


def _range(bound: Bound) -> str:
    return f"{bound.at_least:,} to {bound.at_most:,}{f'; {bound.explained}' if bound.explained else ''}"


def plan_facts(asked: Asked) -> Sequence[tuple[str, str]]:
    """What would happen, before anybody confirms it."""
    repeats = asked.count * asked.duplicates_percent // 100
    return [
        (
            "Target",
            f"{own_ingress()}/webhooks/{asked.provider}, the ingress of the machine that the ops worker runs on",
        ),
        ("Sends", f"{asked.count:,}, about {repeats:,} of them repeats of an earlier one"),
        ("Rate", f"{asked.rate:,} a second, for {age(asked.lasts)}"),
        ("Events", f"made from seed {asked.seed} on {asked.keys:,} ordering keys"),
        ("Judged for", f"gate {asked.gate}: {_standing(asked.gate)}"),
        (
            "What stays",
            "its events, stored and proved like every other one, and forwarded where the mode lets a destination have "
            "them; its files; entries in the audit log with your name",
        ),
    ]


def _standing(name: str) -> str:
    spec, kept = gate(name), frozen(name)
    if kept is None or kept.sha256 != sha256_of(spec):
        return f"version {spec.version} is not frozen, and a run before that proves nothing to it"
    return f"version {spec.version}, frozen before the run; the run is listed with it, whatever comes of it"


def _result(run: KnownRun) -> dict[str, Any]:
    told = run.told or {}
    return {
        "figures": result_of(run) if run.told else [],
        "criteria": (criteria := criteria_of(run)),
        "has_reasons": any(each.reason for each in criteria),
        "chart": ChartPart("replay", "Time to acknowledge", chart_of(run), "No ack was measured."),
        "findings": [(each, _found_count(told, each)) for each in told.get("examples") or ()],
        "refusals": (told.get("refusals") or {}).items(),
        "doubts": told.get("doubts") or (),
        "generator": told.get("generator"),
        "bundle_address": reverse("admin:bundle", args=[run.bundle.artifact_id]) if run.bundle else "",
    }


COUNT_OF_KIND = {"lost": "lost", "duplicated": "duplicates", "corrupted": "corrupted", "unexpected": "unexpected"} | {
    "misplaced": "misplaced",
    "no receipt": "without_receipt",
}


def _found_count(told: Mapping[str, Any], example: Mapping[str, Any]) -> int | None:
    """How many of its kind; None where the summary counts kinds together."""
    count: int | None = told.get(COUNT_OF_KIND.get(str(example.get("kind")), ""))
    return count


def _may_start(request: HttpRequest) -> dict[str, Any]:
    holders = [role.value for role, held in PERMISSIONS_BY_ROLE.items() if Permission.REPLAY_START in held]
    return {
        "may_start": request.user.has_perm(Permission.REPLAY_START),
        "missing": f"takes the permission {Permission.REPLAY_START.value}: {' and '.join(holders)} have it",
    }


def _run(run_id: str) -> KnownRun:
    found = known_run(run_id)
    if found is None:
        raise Http404(f"no run {run_id[:80]!r} is known here: it never existed, or its files and entries are elsewhere")
    return found


def _site(page: ReplaysPage | PlanReplayPage | ReplayProgress) -> AdminSite:
    assert page.site is not None  # noqa: S101  (set by the site that routes here)
    page.request.current_app = page.site.name
    return page.site
