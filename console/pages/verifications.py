"""Long verifications of the audit log and of bundles: asked for, how far, cancelled, and what was found."""

from __future__ import annotations

from typing import Any, override

from django.contrib import messages
from django.contrib.admin import AdminSite
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils.safestring import SafeString

from autocom.kernel.clock import SYSTEM_CLOCK, datetime_of
from autocom.kernel.errors import AutocomError
from console.access import Permission
from console.actions.operator import Operator
from console.actions.verifications import cancel_verification, order_verification
from console.guards import GuardedPage
from console.orders import FigureShown, Progress, StateShown, elapsed_of, is_live, shown_state, under_way
from console.pages.orders import Offered, OrderProgress, parts_of
from console.replays import verdict_shown
from console.shown import moment, size
from console.verifications import verifications_of
from evidence.models import Bundle, VerificationOrder
from evidence.orders.life import is_dead
from evidence.store.reads import bundle_of

LISTED_COUNT = 5


class _OfLog:
    """What is verified here: the audit log."""

    def bundle(self, address: dict[str, Any]) -> Bundle | None:
        del address
        return None


class _OfBundle:
    """What is verified here: the bundle that the address names, for who may see it."""

    request: HttpRequest
    kwargs: dict[str, Any]

    def bundle(self, address: dict[str, Any]) -> Bundle | None:
        found = bundle_of(address["sha256"])
        if found is None:
            raise Http404("there is no such bundle")
        return found

    def has_right_on_row(self, on_row: Permission) -> bool:
        found = bundle_of(self.kwargs["sha256"])
        return found is not None and self.request.user.has_perm(on_row, found)


class _Progress(OrderProgress):
    result_template = "console/_verification_result.html"

    def bundle(self, address: dict[str, Any]) -> Bundle | None:
        raise NotImplementedError

    @override
    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        bundle = self.bundle(kwargs)
        found = verifications_of(bundle).filter(pk=kwargs["number"]).first()
        if found is None:
            raise Http404(f"there is no verification {kwargs['number']} of this")
        return {
            **super().get_context_data(**kwargs),
            "bundle": bundle,
            **parts_of(
                found,
                state=state_of(found),
                sentence=sentence_of(found),
                is_live=is_live(found),
                progress=progress_of(found),
                poll_address=address_of(found, bundle, "_progress"),
                cancel=Offered(
                    address=address_of(found, bundle, "_cancel"),
                    words="Cancel the verification",
                    why_not="",
                    then="it ends within seconds, without an outcome",
                ),
            ),
        }


class _Page(_Progress):
    is_part = False
    template_name = "console/verification.html"

    @override
    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        context = super().get_context_data(**kwargs)
        assert self.site is not None  # noqa: S101  (set by the site that routes here)
        self.request.current_app = self.site.name
        bundle: Bundle | None = context["bundle"]
        of = "the audit log" if bundle is None else f"the bundle of {bundle.run_id}"
        return {
            **self.site.each_context(self.request),
            **context,
            "title": f"Verification of {of}",
            "asked": moment(context["order"].asked_at),
            "back": back_of(bundle),
        }


class _Ask(GuardedPage):
    """Posted to alone."""

    http_method_names = ["post", "options"]
    site: AdminSite | None = None

    def bundle(self, address: dict[str, Any]) -> Bundle | None:
        raise NotImplementedError

    def post(self, request: HttpRequest, **address: Any) -> HttpResponse:
        return asked(request, self.bundle(address))


class _Cancel(_Ask):
    @override
    def post(self, request: HttpRequest, **address: Any) -> HttpResponse:
        bundle = self.bundle(address)
        try:
            kept = cancel_verification(Operator.signed_in(request.user), address["number"], bundle)
        except AutocomError as error:
            messages.error(request, str(error).capitalize())
            return HttpResponseRedirect(back_of(bundle))
        messages.success(request, "Cancelled: it ends within seconds, without an outcome.")
        return HttpResponseRedirect(address_of(kept, bundle))


class LogVerificationProgress(_OfLog, _Progress):
    permission = Permission.AUDIT_READ


class LogVerificationPage(_OfLog, _Page):
    permission = Permission.AUDIT_READ


class VerifyLog(_OfLog, _Ask):
    permission = Permission.AUDIT_READ


class CancelLogVerification(_OfLog, _Cancel):
    permission = Permission.AUDIT_READ


class BundleVerificationProgress(_OfBundle, _Progress):
    permission = Permission.EVIDENCE_READ
    on_row = Permission.BUNDLE_READ


class BundleVerificationPage(_OfBundle, _Page):
    permission = Permission.EVIDENCE_READ
    on_row = Permission.BUNDLE_READ


class CancelBundleVerification(_OfBundle, _Cancel):
    permission = Permission.EVIDENCE_READ
    on_row = Permission.BUNDLE_READ


def asked(request: HttpRequest, bundle: Bundle | None) -> HttpResponse:
    """The order's page, which shows how far it is."""
    try:
        made = order_verification(Operator.signed_in(request.user), bundle)
    except AutocomError as error:
        messages.error(request, str(error).capitalize())
        return HttpResponseRedirect(back_of(bundle))
    messages.success(request, f"Verification {made.pk} is asked for: this page shows how far it is.")
    return HttpResponseRedirect(address_of(made, bundle))


def address_of(order: VerificationOrder, bundle: Bundle | None, what: str = "") -> str:
    if bundle is None:
        return reverse(f"admin:log_verification{what}", args=[order.pk])
    return reverse(f"admin:bundle_verification{what}", args=[bundle.artifact_id, order.pk])


def back_of(bundle: Bundle | None) -> str:
    if bundle is None:
        return reverse("admin:evidence_auditentry_changelist")
    return reverse("admin:bundle", args=[bundle.artifact_id])


def state_of(order: VerificationOrder) -> StateShown:
    """Of one that is done its outcome. Without one it is never green."""
    if order.state == VerificationOrder.State.DONE:
        return verdict_shown(order.outcome)
    return shown_state(order)


def sentence_of(order: VerificationOrder) -> str:
    if is_dead(order) or order.state == VerificationOrder.State.DIED:
        return f"Its process died after {so_far(order)}: nothing is known. Ask again."
    if order.is_open:
        return under_way(order, cancelled="it ends within seconds, without an outcome")
    if order.state != VerificationOrder.State.DONE:
        return f"Not verified: {order.why}. {so_far(order).capitalize()} had been read."
    if order.outcome == "FAIL":
        return f"{order.finding_count or 0:,} finding{'' if order.finding_count == 1 else 's'} in {_whole(order)}."
    if order.outcome == "PASS":
        own = (
            "is as it was signed, and every figure follows" if order.bundle_id else "is as written and follows the last"
        )
        return f"Each of {_whole(order)} {own}."
    return "Nothing is wrong, and something could not be checked." if order.bundle_id else "The audit log is empty."


def _whole(order: VerificationOrder) -> str:
    return f"{order.checked_count:,} {'bytes' if order.bundle_id else 'entries'}"


def so_far(order: VerificationOrder) -> str:
    if order.bundle_id is not None:
        return f"{size(order.checked_count)} of {size(order.total_count)}"
    return f"{order.checked_count:,} of {order.total_count:,} entries"


def progress_of(order: VerificationOrder) -> Progress:
    is_log = order.bundle_id is None
    shown = (lambda count: f"{count:,}") if is_log else size
    figures = [
        FigureShown("Entries read" if is_log else "Read", shown(order.checked_count)),
        FigureShown("Of", shown(order.total_count)),
        FigureShown("Findings", "not yet known" if order.finding_count is None else f"{order.finding_count:,}"),
        elapsed_of(order, now=datetime_of(us=SYSTEM_CLOCK.now_us())),
    ]
    return Progress(order.checked_count, max(order.total_count, 1), "Read of what there is", figures)


def listed_verifications(bundle: Bundle | None) -> list[dict[str, Any]]:
    """For the page of what was verified: the newest ones, with who asked, how it ended and how far it came."""
    return [_listed(order, bundle) for order in verifications_of(bundle)[:LISTED_COUNT]]


def _listed(order: VerificationOrder, bundle: Bundle | None) -> dict[str, Any]:
    asked_at: SafeString | str = moment(order.asked_at)
    return {
        "order": order,
        "address": address_of(order, bundle),
        "state": state_of(order),
        "so_far": so_far(order),
        "asked": asked_at,
    }
