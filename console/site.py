"""The one admin site. Our pages hang on it beside the models' pages, so that none can be reached without signing in."""

import time
from collections.abc import Callable
from functools import update_wrapper
from http import HTTPStatus
from typing import Any, override

from django.core.paginator import Paginator
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import URLPattern, URLResolver, path
from unfold.sites import UnfoldAdminSite

from console.actions.accounts import user_changed
from console.guards import is_poll, send_to_login
from console.palette import ids_found, pages_found
from evidence.audit import Actor

PALETTE_PAGE_COUNT = 50


class ConsoleSite(UnfoldAdminSite):  # type: ignore[misc]  # the theme has no types
    """The theme's site with our overview first, our pages, and a palette that asks for permission every time."""

    enable_nav_sidebar = True

    @override
    def get_urls(self) -> list[URLResolver | URLPattern]:
        from console.pages.alerts import AlertsPage
        from console.pages.budget_correction import CorrectionPage
        from console.pages.budget_entry import EntryPage
        from console.pages.budget_forms import AnnotatePage, ProposePage
        from console.pages.budgets import BudgetsPage, LedgerFile
        from console.pages.bundles import BundlePage, BundlesPage, VerifyBundlePage
        from console.pages.destinations import AddDestinationPage, DestinationPage, DestinationsPage
        from console.pages.gates import GatePage, GatesPage
        from console.pages.log import LogPage
        from console.pages.mode import ModePage
        from console.pages.outgoing import OutgoingPage
        from console.pages.overview import OverviewFigures
        from console.pages.rbac import RbacPage
        from console.pages.receipts import ReceiptProof, ReceiptsPage
        from console.pages.status import StatusPage

        ours = [
            path("overview/figures/", self.admin_view(OverviewFigures.as_view(site=self)), name="overview_figures"),
            path("status/", self.admin_view(StatusPage.as_view(site=self)), name="status"),
            path("gates/", self.admin_view(GatesPage.as_view(site=self)), name="gates"),
            path("gates/<slug:gate>/", self.admin_view(GatePage.as_view(site=self)), name="gate"),
            path("mode/", self.admin_view(ModePage.as_view(site=self)), name="mode"),
            path("alerts/", self.admin_view(AlertsPage.as_view(site=self)), name="alerts"),
            path("budgets/", self.admin_view(BudgetsPage.as_view(site=self)), name="budgets"),
            path("budgets/ledger.csv", self.admin_view(LedgerFile.as_view()), name="budget_ledger"),
            path("budgets/entries/<int:number>/", self.admin_view(EntryPage.as_view(site=self)), name="budget_entry"),
            path("budgets/annotate/", self.admin_view(AnnotatePage.as_view(site=self)), name="budget_annotate"),
            path("budgets/propose/", self.admin_view(ProposePage.as_view(site=self)), name="budget_propose"),
            path(
                "budgets/corrections/<int:number>/",
                self.admin_view(CorrectionPage.as_view(site=self)),
                name="budget_correction",
            ),
            path("destinations/", self.admin_view(DestinationsPage.as_view(site=self)), name="destinations"),
            path("destinations/add/", self.admin_view(AddDestinationPage.as_view(site=self)), name="destination_add"),
            path("destinations/<int:pk>/", self.admin_view(DestinationPage.as_view(site=self)), name="destination"),
            path("outgoing/", self.admin_view(OutgoingPage.as_view(site=self)), name="outgoing"),
            path("log/", self.admin_view(LogPage.as_view(site=self)), name="log"),
            path("rbac/", self.admin_view(RbacPage.as_view(site=self)), name="rbac"),
            path("receipts/", self.admin_view(ReceiptsPage.as_view(site=self)), name="receipts"),
            path(
                "receipts/proof/<uuid:event_id>/",
                self.admin_view(ReceiptProof.as_view(site=self)),
                name="receipt_proof",
            ),
            path("bundles/", self.admin_view(BundlesPage.as_view(site=self)), name="bundles"),
            path("bundles/<str:sha256>/", self.admin_view(BundlePage.as_view(site=self)), name="bundle"),
            path(
                "bundles/<str:sha256>/verify/",
                self.admin_view(VerifyBundlePage.as_view(site=self)),
                name="bundle_verify",
            ),
        ]
        return [*ours, *super().get_urls()]

    @override
    def index(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        from console.pages.overview import OverviewPage

        page: HttpResponse = OverviewPage.as_view(site=self)(request)
        return page

    @override
    def password_change(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        with transaction.atomic():
            answer: HttpResponse = super().password_change(request, extra_context)
            if request.method == "POST" and answer.status_code == HTTPStatus.FOUND:  # not the form with its mistakes
                user_changed(request.user, actor=Actor.person(request.user), fields=["password"])  # type: ignore[arg-type]
        return answer

    @override
    def admin_view(self, view: Callable[..., HttpResponse], cacheable: bool = False) -> Callable[..., HttpResponse]:
        guarded: Callable[..., HttpResponse] = super().admin_view(view, cacheable)

        def polled(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
            if is_poll(request) and not self.has_permission(request):
                return send_to_login(request)
            return guarded(request, *args, **kwargs)

        update_wrapper(polled, guarded)
        polled.guarded_by = self  # type: ignore[attr-defined]  # seen by console/rbac/checks.py
        return polled

    @override
    def search(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> TemplateResponse | HttpResponse:
        """The palette's results. Not the theme's own, which keeps them for five minutes, revoked permissions or not."""
        term = request.GET.get("s", "").strip()
        if not term:
            return HttpResponse()
        started_seconds = time.monotonic()
        found = [*ids_found(request, term), *pages_found(request, term)]
        pages = Paginator(found, PALETTE_PAGE_COUNT)
        page = pages.get_page(request.GET.get("page", 1))
        context = {
            "search_term": term,
            "page_obj": pages,
            "results": page,
            "page_counter": (page.number - 1) * PALETTE_PAGE_COUNT,
            "execution_time": time.monotonic() - started_seconds,
            "command_show_history": False,
        }
        headers = {"HX-Trigger": "search", "Cache-Control": "no-store"}
        return TemplateResponse(request, "unfold/helpers/command_results.html", context, headers=headers)
