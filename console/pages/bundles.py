"""Runs and the bundles made of them: ask for one, see what is in it, verify it, download it."""

from __future__ import annotations

import tarfile
from collections.abc import Callable
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
from console.actions.bundles import ask_for_bundle, cancel_bundle
from console.actions.operator import Operator
from console.actions.verify_bundle import verify_artifact
from console.guards import GuardedPage
from console.orders import POLL_SECONDS, StateShown, shown_state
from console.pages.orders import NO_STORE, answer_to_poll
from console.pages.verifications import asked, listed_verifications
from console.replays import verdict_shown
from console.row_rights import holds_somewhere, visible
from console.shown import moment, size, whole_id
from evidence.bundles.bag import SUMS
from evidence.bundles.contents import BundleFile, contents
from evidence.gates.spec import gate_names
from evidence.models import Bundle, BundleOrder
from evidence.orders.life import is_dead
from evidence.orders.start import DIED as DIED_WHY
from evidence.runs.folders import RunFolder, runs
from evidence.store import open_artifact
from evidence.store.errors import StoreError
from evidence.store.reads import bundle_of

SHOWN_COUNT = 50
ORDERS_SHOWN_COUNT = 10
MADE = StateShown("check", "made")
VERIFIED_LIMIT_BYTES = 32 * 2**20  # some seconds; a page must not take longer, an order may


@dataclass(frozen=True, slots=True)
class RunRow:
    run: RunFolder
    state: StateShown
    when: SafeString | str


@dataclass(frozen=True, slots=True)
class BundleRow:
    bundle: Bundle
    state: StateShown
    when: SafeString | str
    size: str
    address: str


@dataclass(frozen=True, slots=True)
class OrderRow:
    """`words`: what is done now, or why it was not."""

    order: BundleOrder
    when: SafeString | str
    state: StateShown
    words: str
    is_live: bool


class BundlesPage(GuardedPage):
    """Everything on one page. A POST asks for a bundle, or cancels its making.

    Whoever holds a right on some bundles sees those alone.
    """

    permission = Permission.EVIDENCE_READ
    on_row = Permission.BUNDLE_READ
    template_name = "console/bundles.html"
    http_method_names = ["get", "head", "options", "post"]
    site: AdminSite | None = None

    @override
    def has_right_on_row(self, on_row: Permission) -> bool:
        return holds_somewhere(self.request.user, on_row, Bundle)

    @override
    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        user = self.request.user
        sees_all = user.has_perm(self.permission)
        found = runs() if sees_all else []
        mine = visible(user, self.permission, Bundle.objects.select_related("artifact"), on_row=self.on_row)
        return {
            **_site(self).each_context(self.request),
            **super().get_context_data(**kwargs),
            "title": "Bundles",
            "runs": [RunRow(run, verdict_shown(run.verdict), moment(run.began_at)) for run in found[:SHOWN_COUNT]],
            "run_count": len(found),
            "gates": gate_names(),
            "sees_all": sees_all,
            **(_orders(self.request) if sees_all else {}),
            "bundles": [_row(each) for each in mine[:SHOWN_COUNT]],
        }

    def post(self, request: HttpRequest) -> HttpResponse:
        operator = Operator.signed_in(request.user)
        if "cancel" in request.POST:
            return _answered(request, lambda: _cancelled(operator, request.POST["cancel"]))
        run_id, gate_name = request.POST.get("run", ""), request.POST.get("gate", "")
        return _answered(request, lambda: _asked(operator, run_id, gate_name))


class BundleOrders(GuardedPage):
    """How far the bundles are that were asked for, for their page to poll. Each part names the element it replaces."""

    permission = Permission.EVIDENCE_READ
    template_name = "console/bundle_orders.html"
    site: AdminSite | None = None

    def get(self, request: HttpRequest) -> HttpResponse:
        context = self.get_context_data(**_orders(request))
        return self.render_to_response(context, status=answer_to_poll(context["is_live"]), headers=NO_STORE)


class OneBundle(GuardedPage):
    """For who sees all evidence, and for who holds a right on this bundle."""

    permission = Permission.EVIDENCE_READ
    on_row = Permission.BUNDLE_READ

    @override
    def has_right_on_row(self, on_row: Permission) -> bool:
        bundle = bundle_of(self.kwargs["sha256"])
        return bundle is not None and self.request.user.has_perm(on_row, bundle)


class BundlePage(OneBundle):
    """One bundle: what it says, what it misses, every file with its digest."""

    template_name = "console/bundle.html"
    site: AdminSite | None = None

    @override
    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        bundle = _bundle(kwargs["sha256"])
        files, trouble = contents_of(bundle)
        return {
            **_site(self).each_context(self.request),
            **super().get_context_data(**kwargs),
            "title": f"Bundle of {bundle.run_id}",
            "bundle": bundle,
            "state": verdict_shown(bundle.verdict),
            "made": moment(bundle.made_at),
            "size": size(bundle.artifact.size_bytes),
            "digest": whole_id(bundle.artifact_id),
            "sums_digest": whole_id(bundle.sums_sha256),
            "files": [(file, size(file.size_bytes)) for file in files],
            "trouble": trouble,
            "sums": SUMS,
            "verifications": listed_verifications(bundle),
            "verify_address": reverse("admin:bundle_verify", args=[bundle.artifact_id]),
            "download_address": reverse("admin:evidence_artifact_download", args=[bundle.artifact_id]),
        }


class VerifyBundlePage(OneBundle):
    """The bundle's bytes as they are in the store, verified as an outsider would: now, or if large by an order."""

    template_name = "console/bundle_verify.html"
    http_method_names = ["post", "options"]
    site: AdminSite | None = None

    def post(self, request: HttpRequest, sha256: str) -> HttpResponse:
        bundle = _bundle(sha256)
        if bundle.artifact.size_bytes > VERIFIED_LIMIT_BYTES:
            return asked(request, bundle)
        return self.render_to_response(self.get_context_data(sha256=sha256))

    @override
    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        bundle = _bundle(kwargs["sha256"])
        report, trouble = None, ""
        try:
            report = verify_artifact(Operator.signed_in(self.request.user), bundle.artifact, bundle=bundle)
        except StoreError as error:
            trouble = str(error)
        return {
            **_site(self).each_context(self.request),
            **super().get_context_data(**kwargs),
            "title": f"Bundle of {bundle.run_id} verified",
            "bundle": bundle,
            "report": report,
            "trouble": trouble,
            "back": reverse("admin:bundle", args=[bundle.artifact_id]),
        }


def _site(page: BundlesPage | BundlePage | VerifyBundlePage) -> AdminSite:
    assert page.site is not None  # noqa: S101  (set by the site that routes here)
    page.request.current_app = page.site.name
    return page.site


def _bundle(sha256: str) -> Bundle:
    bundle = bundle_of(sha256)
    if bundle is None:
        raise Http404("no bundle has this digest")
    return bundle


def _asked(operator: Operator, run_id: str, gate_name: str) -> str:
    ask_for_bundle(operator, run_id=run_id, gate_name=gate_name)
    return f"The bundle of {run_id} is being made: this page shows how far it is."


def _cancelled(operator: Operator, number: str) -> str:
    order = cancel_bundle(operator, number)
    return f"The bundle of {order.run_id} is not made: its process ends before its next step."


def _answered(request: HttpRequest, act: Callable[[], str]) -> HttpResponse:
    try:
        messages.success(request, act())
    except AutocomError as error:
        messages.error(request, str(error))
    return HttpResponseRedirect(reverse("admin:bundles"))


def _orders(request: HttpRequest) -> dict[str, Any]:
    rows = [_order_row(order) for order in BundleOrder.objects.select_related("bundle")[:ORDERS_SHOWN_COUNT]]
    return {
        "orders": rows,
        "is_live": any(row.is_live for row in rows),
        "may_export": request.user.has_perm(Permission.EVIDENCE_EXPORT),
        "poll_seconds": POLL_SECONDS,
        "poll_address": reverse("admin:bundle_orders"),
        "read_at": datetime_of(us=SYSTEM_CLOCK.now_us()),
    }


def _order_row(order: BundleOrder) -> OrderRow:
    is_gone = is_dead(order)
    state = MADE if order.state == BundleOrder.State.DONE else shown_state(order)
    words = DIED_WHY if is_gone else (order.step or order.why)
    if order.is_open and order.cancel_asked_at is not None and not is_gone:
        words = f"{order.cancel_asked_by} cancelled it: it ends after this step, {order.step}"
    return OrderRow(order, moment(order.asked_at), state, words, is_live=order.is_open and not is_gone)


def _row(bundle: Bundle) -> BundleRow:
    address = reverse("admin:bundle", args=[bundle.artifact_id])
    state, made = verdict_shown(bundle.verdict), moment(bundle.made_at)
    return BundleRow(bundle, state, made, size(bundle.artifact.size_bytes), address)


def contents_of(bundle: Bundle) -> tuple[list[BundleFile], str]:
    """What the archive holds, or why it cannot be read."""
    try:
        with open_artifact(bundle.artifact_id) as file:
            return contents(file), ""
    except (StoreError, tarfile.TarError, OSError, EOFError) as error:
        return [], str(error)
