"""Gates: may the service go further, on what evidence, who answers for it, and what they decided."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, override

from django.contrib import messages
from django.contrib.admin import AdminSite
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils.safestring import SafeString

from autocom.kernel.clock import SYSTEM_CLOCK, datetime_of
from autocom.kernel.errors import AutocomError
from console.access import Permission
from console.actions import gates as acts
from console.actions.freeze_gate import freeze_gate
from console.actions.gates import reauthenticated
from console.actions.operator import Operator
from console.guards import GuardedPage
from console.orders import StateShown
from console.pages.second_factor import second_factor
from console.replays import verdict_shown
from console.shown import moment
from console.sign_in.openid.proof_box import in_place_of_password
from evidence.audit import Act
from evidence.decisions.decide import ROLLBACK_LIMIT_SECONDS, RollbackPlan
from evidence.decisions.dri import gate_row
from evidence.decisions.errors import DecisionRefused
from evidence.gates.spec import GateUnknown
from evidence.gates.spec import gate as spec_of
from evidence.models import Approval, AuditEntry, Decision, Gate
from evidence.status.gate_status import GateStatus, gate_status, gate_statuses
from evidence.status.sections import CRITERIA, criterion_row, verdict_of

SHOWN_COUNT = 50
PASS = "PASS"  # noqa: S105 - a verdict
FREEZE = "freeze"


@dataclass(frozen=True, slots=True)
class GateRow:
    gate: GateStatus
    state: StateShown
    address: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CriterionShown:
    name: str
    is_key: bool
    actual: str
    target: str
    margin: str
    state: StateShown
    reason: str
    age: str
    at_95: str
    source: str


@dataclass(frozen=True, slots=True)
class Made:
    """A decision, and who approved it when."""

    decision: Decision
    when: SafeString | str
    approval: Approval | None
    approved: SafeString | str


class GatesPage(GuardedPage):
    permission = Permission.GATE_READ
    template_name = "console/gates.html"
    site: AdminSite | None = None

    @override
    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        found = gate_statuses(now=datetime_of(us=SYSTEM_CLOCK.now_us()))
        return {
            **_site(self).each_context(self.request),
            **super().get_context_data(**kwargs),
            "title": "Gates",
            "gates": [
                GateRow(each, verdict_shown(verdict_of(each)), reverse("admin:gate", args=[each.spec.name]))
                for each in found
            ],
        }


class GatePage(GuardedPage):
    """One gate. A POST acts on it: `act` says how, and a freeze where it says nothing."""

    permission = Permission.GATE_READ
    template_name = "console/gate.html"
    http_method_names = ["get", "head", "options", "post"]
    site: AdminSite | None = None

    @override
    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        found, user = _gate(kwargs["gate"]), self.request.user
        row = Gate.objects.filter(name=found.spec.name).first()
        is_dri = found.dri == user.get_username()
        return {
            **_site(self).each_context(self.request),
            **super().get_context_data(**kwargs),
            "title": f"Gate {found.spec.name}",
            "gate": found,
            "state": verdict_shown(verdict_of(found)),
            "heads": CRITERIA[1:],
            "criteria": list(_criteria(found)),
            "frozen_at": moment(found.frozen.frozen_at) if found.frozen else None,
            "pass_until": moment(found.pass_until) if found.pass_until else None,
            "bundle_address": reverse("admin:bundle", args=[found.bundle.artifact_id]) if found.bundle else "",
            "runs": _runs(found),
            "decisions": _decisions(row),
            "terms": [(term, moment(term.since), moment(term.until)) for term in row.terms.all()] if row else [],
            "is_dri": is_dri,
            "may_freeze": user.has_perm(Permission.GATE_FREEZE) and not found.is_frozen,
            "may_assign": user.has_perm(Permission.DRI_ASSIGN),
            "may_approve": user.has_perm(Permission.DECISION_APPROVE) and not is_dri,
            "why_no_go": _why_no_go(found),
            "limit_seconds": ROLLBACK_LIMIT_SECONDS,
            **second_factor(user),
            **in_place_of_password(self.request),
        }

    def post(self, request: HttpRequest, gate: str) -> HttpResponse:
        act = ACTS.get(request.POST.get("act", FREEZE))
        try:
            if act is None:
                raise DecisionRefused(f"this page knows {', '.join(ACTS)}")
            messages.success(request, act(request, _row(gate)))
        except AutocomError as error:
            messages.error(request, str(error))
        return HttpResponseRedirect(reverse("admin:gate", args=[gate]))


def _site(page: GatesPage | GatePage) -> AdminSite:
    assert page.site is not None  # noqa: S101  (set by the site that routes here)
    page.request.current_app = page.site.name
    return page.site


def _gate(name: str) -> GateStatus:
    try:
        return gate_status(spec_of(name), now=datetime_of(us=SYSTEM_CLOCK.now_us()))
    except GateUnknown as error:
        raise Http404(str(error)) from error


def _row(name: str) -> Gate:
    try:
        return gate_row(name)
    except GateUnknown as error:
        raise Http404(str(error)) from error


def _criteria(found: GateStatus) -> Iterator[CriterionShown]:
    """Not met and unknown ones first; whether each is a key one."""
    keys = {each.name for each in found.spec.criteria if each.key}
    for told in sorted(found.criteria, key=lambda each: each["outcome"] == PASS):
        _, name, _, actual, target, margin, age, at_95, source = criterion_row(found, told)
        yield CriterionShown(
            name=name,
            is_key=name in keys,
            actual=actual,
            target=target,
            margin=margin,
            state=verdict_shown(told["outcome"]),
            reason=str(told.get("reason") or ""),
            age=age,
            at_95=at_95,
            source=source,
        )


def _runs(found: GateStatus) -> Sequence[tuple[str, str, SafeString | str]]:
    """Every run since the specification was frozen, the newest first."""
    if found.frozen is None:
        return ()
    entries = AuditEntry.objects.filter(act=Act.REPLAY_RUN.value, number__gt=found.frozen.audit_number)
    mine = entries.filter(facts__gate=found.spec.name).order_by("-number")[:SHOWN_COUNT]
    return [(str(each.facts["run_id"]), str(each.facts["verdict"]), moment(each.at)) for each in mine]


def _decisions(row: Gate | None) -> Sequence[Made]:
    if row is None:
        return ()
    decisions = row.decisions.select_related("dri", "bundle").order_by("-pk")[:SHOWN_COUNT]
    by_decision = {each.decision_id: each for each in Approval.objects.filter(decision__in=list(decisions))}
    return [_made(each, by_decision.get(each.pk)) for each in decisions]


def _made(decision: Decision, approval: Approval | None) -> Made:
    return Made(decision, moment(decision.decided_at), approval, moment(approval.approved_at if approval else None))


def _why_no_go(found: GateStatus) -> str:
    """Why nobody can say GO now; empty where the DRI can."""
    verdict = verdict_of(found)
    if verdict == PASS:
        return "" if found.is_frozen else "the specification is not frozen"
    not_met = ", ".join(str(each["name"]) for each in found.criteria if each["outcome"] != PASS)
    told = f"the newest verdict is {verdict}{f': {not_met}' if not_met else ''}"
    return f"{told}. It cannot be overridden: another run can pass, or a new version of the specification be frozen"


def _freeze(request: HttpRequest, gate: Gate) -> str:
    made = freeze_gate(Operator.signed_in(request.user), gate.name, reason=_reason(request))
    return f"version {made.version} is frozen: audit entry {made.audit_number}"


def _assign(request: HttpRequest, gate: Gate) -> str:
    term = acts.assign_dri(Operator.signed_in(request.user), gate, **_named(request))
    return f"{term.user.get_username()} is the DRI"


def _hand_over(request: HttpRequest, gate: Gate) -> str:
    term = acts.hand_over(Operator.signed_in(request.user), gate, **_named(request))
    return f"{term.user.get_username()} is the DRI"


def _end(request: HttpRequest, gate: Gate) -> str:
    acts.end_dri(Operator.signed_in(request.user), gate, reason=_reason(request))
    return "the gate has no DRI now"


def _go(request: HttpRequest, gate: Gate) -> str:
    again, found = _again(request, gate), _gate(gate.name)
    if found.bundle is None:
        raise DecisionRefused(f"gate {gate.name} has no bundle: `manage.py gate run {gate.name}` makes one")
    plan = RollbackPlan(
        trigger=request.POST.get("trigger", ""),
        steps=request.POST.get("steps", ""),
        owner=request.POST.get("owner", ""),
        limit_seconds=ROLLBACK_LIMIT_SECONDS,
    )
    made = acts.decide_go(again, gate, found.bundle, reason=_reason(request), plan=plan)
    return f"GO: audit entry {made.audit_number}. It enables nothing until another person approves it"


def _no_go(request: HttpRequest, gate: Gate) -> str:
    again, found = _again(request, gate), _gate(gate.name)
    made = acts.decide_no_go(again, gate, reason=_reason(request), bundle=found.bundle)
    return f"NO-GO: audit entry {made.audit_number}"


def _approve(request: HttpRequest, gate: Gate) -> str:
    number = request.POST.get("decision", "")
    rows = gate.decisions.select_related("gate", "bundle", "spec", "dri")
    decision = rows.filter(audit_number=int(number)).first() if number.isascii() and number.isdigit() else None
    if decision is None:
        raise DecisionRefused("no decision of this gate has this number")
    made = acts.approve(_again(request, gate), decision, reason=_reason(request))
    return f"approved: audit entry {made.audit_number}"


def _named(request: HttpRequest) -> dict[str, str]:
    return {"username": request.POST.get("username", ""), "reason": _reason(request)}


def _reason(request: HttpRequest) -> str:
    return request.POST.get("reason", "")


def _again(request: HttpRequest, gate: Gate) -> Any:
    """Whoever decides says once more who they are. Raises PasswordWrong, SecondFactorRefused, on record."""
    return reauthenticated(
        request.user.get_username(),
        request.POST.get("password", ""),
        gate=gate,
        code=request.POST.get("code", ""),
        passkey=request.POST.get("passkey", ""),
        request=request,
    )


ACTS: Mapping[str, Callable[[HttpRequest, Gate], str]] = {
    FREEZE: _freeze,
    "assign": _assign,
    "hand-over": _hand_over,
    "end": _end,
    "go": _go,
    "no-go": _no_go,
    "approve": _approve,
}
