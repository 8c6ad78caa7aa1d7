"""A correction that somebody proposed: what it would change, and the second person's word on it."""

from __future__ import annotations

from typing import Any, override

from django.contrib import messages
from django.contrib.admin import AdminSite
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.urls import reverse

from autocom.kernel.clock import SYSTEM_CLOCK, datetime_of
from autocom.kernel.errors import AutocomError
from console.access import Permission
from console.actions import budget
from console.actions.operator import Operator, check
from console.budgets import percent, seconds, title_of
from console.guards import GuardedPage
from console.offers import missing
from console.pages.second_factor import second_factor
from console.shown import moment
from console.sign_in.openid.proof_box import in_place_of_password
from evidence.budget.arithmetic import Counts, remaining_pct
from evidence.budget.errors import CorrectionRefused
from evidence.budget.windows import account_counts
from evidence.models import CorrectionProposal
from evidence.slo.shipped import objectives

APPROVE, REJECT = "approve", "reject"


class CorrectionPage(GuardedPage):
    """A POST decides: `act` says how. Whoever may not approve is refused before anything else."""

    permission = Permission.BUDGET_READ
    template_name = "console/budget_correction.html"
    http_method_names = ["get", "head", "options", "post"]
    site: AdminSite | None = None

    @override
    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        assert self.site is not None  # noqa: S101  (set by the site that routes here)
        self.request.current_app = self.site.name
        now = datetime_of(us=SYSTEM_CLOCK.now_us())
        asked = get_object_or_404(CorrectionProposal, pk=kwargs["number"])
        return {
            **self.site.each_context(self.request),
            **super().get_context_data(**kwargs),
            "title": f"Correction {asked.pk}",
            "subtitle": None,
            "asked": asked,
            "slo_title": title_of(asked.slo),
            "proposed": moment(asked.proposed_at, now=now),
            "decided": moment(asked.decided_at, now=now) if asked.decided_at else None,
            "entry_address": reverse("admin:budget_entry", args=[asked.entry_id]) if asked.entry_id else "",
            "rows": _before_and_after(asked),
            "why_not": _why_not(asked, self.request.user),
            "back": reverse("admin:budgets"),
            **second_factor(self.request.user),
            **in_place_of_password(self.request),
        }

    def post(self, request: HttpRequest, number: int) -> HttpResponse:
        check(Operator.signed_in(request.user), Permission.BUDGET_APPROVE, subject=f"budget correction {number}")
        try:
            messages.success(request, _decided(request, number))
        except AutocomError as error:
            messages.error(request, str(error))
        return HttpResponseRedirect(reverse("admin:budget_correction", args=[number]))


def _decided(request: HttpRequest, number: int) -> str:
    """Raises AutocomError."""
    act, reason = request.POST.get("act", ""), request.POST.get("reason", "").strip()
    if act not in (APPROVE, REJECT):
        raise CorrectionRefused(f"this page knows {APPROVE} and {REJECT}")
    if not reason:
        raise CorrectionRefused("say why: it stays in the audit log")
    operator = budget.decider(request, number=number)
    if act == REJECT:
        budget.reject_correction(operator, number, reason=reason)
        return f"Correction {number} is rejected."
    entry = budget.approve_correction(operator, number, reason=reason)
    return (
        f"Ledger entry {entry.number}, audit entry {entry.audit_number}:"
        f" {percent(entry.remaining_pct)} of the budget is left."
    )


def _why_not(asked: CorrectionProposal, user: Any) -> str:
    """Why this reader cannot decide it; empty where they can."""
    if asked.decided_at is not None:
        return f"{'Approved' if asked.is_approved else 'Rejected'} by {asked.decided_by}: it is decided once"
    if not user.has_perm(Permission.BUDGET_APPROVE):
        return missing(Permission.BUDGET_APPROVE, act="Deciding a correction")
    return "You proposed it: another person has to decide it" if asked.proposed_by == user.get_username() else ""


def _before_and_after(asked: CorrectionProposal) -> list[tuple[str, ...]]:
    """Valid, bad, unknown, left: of the month as measured, as it counts and, while it is open, as it would count."""
    found = account_counts(asked.slo, asked.account)
    if found is None:
        return []
    raw, stands = found
    own = Counts(valid=asked.valid_delta, bad=asked.bad_delta, unknown_seconds=asked.unknown_seconds_delta)
    rows = [("As measured", raw), ("As it counts now", stands)]
    if asked.decided_at is None:
        rows.append(("With this correction", stands + own))
    return [
        (words, f"{each.valid:,}", f"{each.bad:,}", seconds(each.unknown_seconds), _left(asked.slo, each))
        for words, each in rows
    ]


def _left(slo: str, counts: Counts) -> str:
    known = objectives().slos.get(slo)
    return percent(remaining_pct(counts, target=known.target) if known else None)
