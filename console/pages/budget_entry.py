"""One entry of the ledger: what it counts, what it did to the account, and what caused it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, override

from django.contrib.admin import AdminSite
from django.shortcuts import get_object_or_404
from django.urls import reverse
from django.utils.http import urlencode

from autocom.kernel.clock import SYSTEM_CLOCK, datetime_of
from console.access import Permission
from console.budgets import percent, seconds
from console.guards import GuardedPage
from console.offers import offer
from console.pages.budgets import entries_shown
from console.shown import moment, whole_id
from evidence.models import BudgetEntry

MINUTE_FORMAT = "%Y-%m-%dT%H:%M"


class EntryPage(GuardedPage):
    permission = Permission.BUDGET_READ
    template_name = "console/budget_entry.html"
    site: AdminSite | None = None

    @override
    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        assert self.site is not None  # noqa: S101  (set by the site that routes here)
        self.request.current_app = self.site.name
        user, now = self.request.user, datetime_of(us=SYSTEM_CLOCK.now_us())
        entry = get_object_or_404(BudgetEntry, number=kwargs["number"])
        (shown,) = entries_shown([entry], user, now=now)
        may_read_audit = user.has_perm(Permission.AUDIT_READ)
        return {
            **self.site.each_context(self.request),
            **super().get_context_data(**kwargs),
            "title": f"Ledger entry {entry.number}",
            "subtitle": None,
            "shown": shown,
            "entry": entry,
            "counts": f"{entry.valid:,} valid, {entry.good:,} good, {entry.bad:,} bad; unknown time {shown.unknown}",
            "account": [
                ("As measured", *_counted(entry.raw), shown.raw_left or shown.left),
                ("With corrections", *_counted(entry.corrected), shown.left),
            ],
            "objective": percent(100 * entry.target, places=3),
            "rates": [(words, getattr(entry, name)) for words, name in RATES],
            "exhaustion": moment(entry.projected_exhaustion, now=now) if entry.projected_exhaustion else None,
            "digest": whole_id(entry.evidence_sha256),
            "audit_address": reverse("admin:evidence_auditentry_change", args=[entry.audit_number])
            if may_read_audit
            else "",
            "annotate": offer(user, Permission.BUDGET_ANNOTATE, act="Entering an incident"),
            "propose": offer(user, Permission.BUDGET_PROPOSE, act="Proposing a correction"),
            "prefill": _prefill(entry),
        }


def _counted(counts: Mapping[str, int]) -> tuple[str, str, str]:
    return f"{counts['valid']:,}", f"{counts['bad']:,}", seconds(counts["unknown_seconds"])


RATES = (("1 h", "burn_1h"), ("6 h", "burn_6h"), ("1 d", "burn_1d"), ("3 d", "burn_3d"))


def _prefill(entry: BudgetEntry) -> str:
    """For a form about the same time of the same objective."""
    return urlencode(
        {
            "slo": entry.slo,
            "window_from": f"{entry.window_from:{MINUTE_FORMAT}}",
            "window_to": f"{entry.window_to:{MINUTE_FORMAT}}",
        }
    )
