"""The one admin site. Our pages hang on it beside the models' pages, so that none can be reached without signing in."""

import time
from collections.abc import Callable
from functools import update_wrapper
from http import HTTPStatus
from typing import Any, cast, override

from django.conf import settings
from django.contrib.auth import REDIRECT_FIELD_NAME
from django.core.paginator import Paginator
from django.db import transaction
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, URLResolver, path, reverse
from unfold.sites import UnfoldAdminSite

from console import mode_banner
from console.access import Permission
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
        from console.pages.bundles import BundleOrders, BundlePage, BundlesPage, VerifyBundlePage
        from console.pages.destinations import AddDestinationPage, DestinationPage, DestinationsPage
        from console.pages.follow import FollowPage
        from console.pages.gates import GatePage, GatesPage
        from console.pages.latency import LatencyExport, LatencyPage
        from console.pages.latency_compare import LatencyComparePage, LatencyRunsPage
        from console.pages.log import LogPage
        from console.pages.mode import ModeBand, ModePage
        from console.pages.openid import OpenIdAgain, OpenIdBegin, OpenIdCallback
        from console.pages.outgoing import OutgoingPage
        from console.pages.overview import OverviewFigures
        from console.pages.pipeline import PipelineFiguresPart, PipelinePage
        from console.pages.rbac import RbacExport, RbacPage, RbacProgress
        from console.pages.receipts import ReceiptProof, ReceiptsPage
        from console.pages.replays import CancelReplay, PlanReplayPage, ReplayPage, ReplayProgress, ReplaysPage
        from console.pages.second_factor import PasskeyQuestion, SecondFactorPage
        from console.pages.service_tokens import ServiceTokensPage
        from console.pages.sessions import MySessionsPage, SignInsPage
        from console.pages.sign_in import CodePage, SignInQuestion
        from console.pages.status import StatusPage
        from console.pages.verifications import (
            BundleVerificationPage,
            BundleVerificationProgress,
            CancelBundleVerification,
            CancelLogVerification,
            LogVerificationPage,
            LogVerificationProgress,
            VerifyLog,
        )

        again = cast(Callable[..., HttpResponse], OpenIdAgain.as_view(site=self))
        ours = [
            path("overview/figures/", self.admin_view(OverviewFigures.as_view(site=self)), name="overview_figures"),
            path("latency/", self.admin_view(LatencyPage.as_view(site=self)), name="latency"),
            path("latency/export/", self.admin_view(LatencyExport.as_view(site=self)), name="latency_export"),
            path("latency/compare/", self.admin_view(LatencyComparePage.as_view(site=self)), name="latency_compare"),
            path("latency/runs/", self.admin_view(LatencyRunsPage.as_view(site=self)), name="latency_runs"),
            path("login/code/", CodePage.as_view(site=self), name="sign_in_code"),
            path("login/passkey/", SignInQuestion.as_view(), name="sign_in_passkey"),
            path("login/openid/", OpenIdBegin.as_view(site=self), name="openid_begin"),
            path("login/openid/back/", OpenIdCallback.as_view(site=self), name="openid_callback"),
            path("openid-again/", self.admin_view(again), name="openid_again"),
            path("my-sessions/", self.admin_view(MySessionsPage.as_view(site=self)), name="my_sessions"),
            path("second-factor/", self.admin_view(SecondFactorPage.as_view(site=self)), name="second_factor"),
            path("second-factor/passkey/", self.admin_view(PasskeyQuestion.as_view(site=self)), name="passkey"),
            path("sign-ins/", self.admin_view(SignInsPage.as_view(site=self)), name="sign_ins"),
            path("follow/", self.admin_view(FollowPage.as_view(site=self)), name="follow"),
            path("pipeline/", self.admin_view(PipelinePage.as_view(site=self)), name="pipeline"),
            path(
                "pipeline/figures/",
                self.admin_view(PipelineFiguresPart.as_view(site=self)),
                name="pipeline_figures",
            ),
            path("status/", self.admin_view(StatusPage.as_view(site=self)), name="status"),
            path("gates/", self.admin_view(GatesPage.as_view(site=self)), name="gates"),
            path("gates/<slug:gate>/", self.admin_view(GatePage.as_view(site=self)), name="gate"),
            path("mode/band/", self.admin_view(ModeBand.as_view()), name="mode_band"),
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
            path("rbac/progress/", self.admin_view(RbacProgress.as_view(site=self)), name="rbac_progress"),
            path("rbac/export/", self.admin_view(RbacExport.as_view(site=self)), name="rbac_export"),
            path("tokens/", self.admin_view(ServiceTokensPage.as_view(site=self)), name="service_tokens"),
            path("receipts/", self.admin_view(ReceiptsPage.as_view(site=self)), name="receipts"),
            path(
                "receipts/proof/<uuid:event_id>/",
                self.admin_view(ReceiptProof.as_view(site=self)),
                name="receipt_proof",
            ),
            path("replays/", self.admin_view(ReplaysPage.as_view(site=self)), name="replays"),
            path("replays/plan/", self.admin_view(PlanReplayPage.as_view(site=self)), name="replay_plan"),
            path("replays/<str:run_id>/", self.admin_view(ReplayPage.as_view(site=self)), name="replay"),
            path(
                "replays/<str:run_id>/progress/",
                self.admin_view(ReplayProgress.as_view(site=self)),
                name="replay_progress",
            ),
            path(
                "replays/<str:run_id>/cancel/", self.admin_view(CancelReplay.as_view(site=self)), name="replay_cancel"
            ),
            path("bundles/", self.admin_view(BundlesPage.as_view(site=self)), name="bundles"),
            path("bundles/orders/", self.admin_view(BundleOrders.as_view(site=self)), name="bundle_orders"),
            path("bundles/<str:sha256>/", self.admin_view(BundlePage.as_view(site=self)), name="bundle"),
            path(
                "bundles/<str:sha256>/verify/",
                self.admin_view(VerifyBundlePage.as_view(site=self)),
                name="bundle_verify",
            ),
            *(
                path(address, self.admin_view(view.as_view(site=self)), name=name)
                for address, view, name in (
                    ("bundles/<str:sha256>/verifications/<int:number>/", BundleVerificationPage, "bundle_verification"),
                    (
                        "bundles/<str:sha256>/verifications/<int:number>/progress/",
                        BundleVerificationProgress,
                        "bundle_verification_progress",
                    ),
                    (
                        "bundles/<str:sha256>/verifications/<int:number>/cancel/",
                        CancelBundleVerification,
                        "bundle_verification_cancel",
                    ),
                    ("audit-log/verifications/", VerifyLog, "log_verify"),
                    ("audit-log/verifications/<int:number>/", LogVerificationPage, "log_verification"),
                    (
                        "audit-log/verifications/<int:number>/progress/",
                        LogVerificationProgress,
                        "log_verification_progress",
                    ),
                    (
                        "audit-log/verifications/<int:number>/cancel/",
                        CancelLogVerification,
                        "log_verification_cancel",
                    ),
                )
            ),
        ]
        return [*ours, *super().get_urls()]

    @override
    def each_context(self, request: HttpRequest) -> dict[str, Any]:
        context: dict[str, Any] = super().each_context(request)
        if not self.has_permission(request):  # the login page
            return context
        banner = mode_banner.SHOWN.banner()
        return {
            **context,
            "mode_banner": banner,
            "mode_poll_seconds": mode_banner.POLL_SECONDS,
            "mode_address": reverse("admin:mode") if request.user.has_perm(Permission.MODE_READ) else "",
            "environment_title_prefix": f"[{banner.mode.value}]",
        }

    @override
    def get_app_list(self, request: HttpRequest, app_label: str | None = None) -> list[Any]:
        """Of one app for its page. Of all for no page, though Django makes it for each: the sidebar is our own."""
        return [] if app_label is None else super().get_app_list(request, app_label)

    @override
    def index(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        from console.pages.overview import OverviewPage

        page: HttpResponse = OverviewPage.as_view(site=self)(request)
        return page

    @override
    def login(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """As Django's, with our form and the second step."""
        from console.pages.sign_in import SignInForm, SignInPage

        if request.method == "GET" and self.has_permission(request):
            return HttpResponseRedirect(reverse("admin:index"))
        here: dict[str, Any] = {
            **self.each_context(request),
            "title": "Log in",
            "subtitle": None,
            "app_path": request.get_full_path(),
            "username": request.user.get_username(),
            "openid_name": settings.OIDC_NAME if settings.OIDC_ISSUER else "",
            **(extra_context or {}),
        }
        if REDIRECT_FIELD_NAME not in request.GET and REDIRECT_FIELD_NAME not in request.POST:
            here[REDIRECT_FIELD_NAME] = reverse("admin:index")
        request.current_app = self.name
        page = SignInPage.as_view(
            extra_context=here, authentication_form=SignInForm, template_name="console/login.html"
        )
        return cast(HttpResponse, page(request))

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
