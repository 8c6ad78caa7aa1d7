"""How far the service goes in the outside world: since when, by whom, and the way up and down."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, override

from django.contrib import messages
from django.contrib.admin import AdminSite
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, QueryDict
from django.urls import reverse
from django.utils.safestring import SafeString
from django.views.generic import TemplateView

from autocom.kernel.clock import SYSTEM_CLOCK, datetime_of
from autocom.kernel.errors import AutocomError
from console.access import Permission
from console.actions.gates import reauthenticated
from console.actions.mode import set_mode
from console.actions.operator import Operator
from console.guards import GuardedPage
from console.mode_banner import SHOWN
from console.pages.second_factor import second_factor
from console.shown import moment
from console.sign_in.openid.proof_box import in_place_of_password
from evidence.decisions.errors import DecisionRefused
from evidence.decisions.standing_go import why_go_does_not_hold
from evidence.mode_standing import standing
from evidence.models import Decision, ModeChange
from evidence.modes import Mode

SHOWN_COUNT = 50
LISTS = ("keys", "providers")


@dataclass(frozen=True, slots=True)
class Change:
    row: ModeChange
    when: SafeString | str


class ModeBand(TemplateView):
    """What the band of every page says by now, for tabs that stay open."""

    template_name = "console/_mode_banner.html"
    http_method_names = ["get", "head", "options"]

    @override
    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        return {"mode_banner": SHOWN.banner(), **super().get_context_data(**kwargs)}


class ModePage(GuardedPage):
    """A POST changes the mode: to OBSERVER unless it says another."""

    permission = Permission.MODE_READ
    template_name = "console/mode.html"
    http_method_names = ["get", "head", "options", "post"]
    site: AdminSite | None = None

    @override
    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        assert self.site is not None  # noqa: S101  (set by the site that routes here)
        self.request.current_app = self.site.name
        found = standing()
        lower = [mode for mode in Mode if mode.rank < found.mode.rank]
        may_raise = self.request.user.has_perm(Permission.MODE_RAISE)
        return {
            **self.site.each_context(self.request),
            **super().get_context_data(**kwargs),
            "title": "Mode",
            "found": found,
            "since": moment(found.change.changed_at) if found.change else None,
            "changes": [Change(row, moment(row.changed_at)) for row in ModeChange.objects.all()[:SHOWN_COUNT]],
            "lower": lower if self.request.user.has_perm(Permission.MODE_LOWER) else [],
            "higher": [mode for mode in Mode if mode.rank > found.mode.rank] if may_raise else [],
            "decisions": _standing_decisions() if may_raise else [],
            "may_raise": may_raise,
            **second_factor(self.request.user),
            **in_place_of_password(self.request),
        }

    def post(self, request: HttpRequest) -> HttpResponse:
        try:
            change = _changed(request)
        except AutocomError as error:
            messages.error(request, str(error))
        else:
            SHOWN.forget()
            messages.success(request, f"{change.previous} to {change.mode}: audit entry {change.audit_number}")
        return HttpResponseRedirect(reverse("admin:mode"))


def _changed(request: HttpRequest) -> ModeChange:
    """Raises AutocomError, PermissionDenied."""
    form = request.POST
    operator, to = Operator.signed_in(request.user), _mode(form.get("mode", Mode.OBSERVER.value))
    reason = form.get("reason", "")
    if "decision" not in form:
        return set_mode(operator, to, reason=reason)
    decision = Decision.objects.select_related("gate").filter(audit_number=_number(form["decision"])).first()
    if decision is None:
        raise DecisionRefused("choose the GO that enables the mode")
    reauthenticated(
        request.user.get_username(),
        form.get("password", ""),
        gate=decision.gate,
        code=form.get("code", ""),
        passkey=form.get("passkey", ""),
        request=request,
    )
    return set_mode(operator, to, reason=reason, decision=decision, scope=_scope(form) or None)


def _mode(text: str) -> Mode:
    try:
        return Mode(text)
    except ValueError:
        raise DecisionRefused(f"{text[:40]!r} is no mode: {', '.join(mode.value for mode in Mode)}") from None


def _number(text: str) -> int:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 18 else 0


def _scope(form: QueryDict) -> Mapping[str, object]:
    """What of it was filled in: a share, or lists of one name a line."""
    lists = {name: [line.strip() for line in form.get(name, "").splitlines() if line.strip()] for name in LISTS}
    share = form.get("share", "").strip()
    return {name: value for name, value in {"share": share, **lists}.items() if value}


def _standing_decisions() -> list[Decision]:
    """Approved GOs that enable a mode now, the newest first."""
    now = datetime_of(us=SYSTEM_CLOCK.now_us())
    rows = Decision.objects.filter(kind=Decision.Kind.GO).select_related("gate", "bundle").order_by("-pk")[:10]
    return [row for row in rows if not why_go_does_not_hold(row, used_at=now)]
