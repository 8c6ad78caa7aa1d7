"""Service tokens: who comes in, issue one, rotate it, end it. A token is shown on the answer to its form, once.

Nothing keeps the value for the page: the answer to the POST holds it, and no session, message or address does.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, override

from django.contrib import messages
from django.contrib.admin import AdminSite
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, QueryDict
from django.urls import reverse
from django.utils.safestring import SafeString

from console.access import Permission
from console.actions import service_tokens
from console.actions.operator import Operator
from console.guards import GuardedPage
from console.management.service_token.list import state
from console.models import ServiceToken
from console.service_tokens.errors import TokenSettingWrong
from console.service_tokens.make import LIFE_LIMIT, OVERLAP, OVERLAP_LIMIT, MadeToken
from console.service_tokens.scopes import OPENS, Scope
from console.shown import moment

ICONS = {"valid": "check_circle", "replaced": "schedule", "expired": "hourglass_disabled", "revoked": "block"}
HOURS_LIMIT = 10_000


@dataclass(frozen=True, slots=True)
class TokenRow:
    token: ServiceToken
    state: str
    icon: str
    until: SafeString | str
    used: str
    is_open: bool  # it may be rotated and revoked


class ServiceTokensPage(GuardedPage):
    """A POST acts: `act` says how."""

    permission = Permission.TOKEN_READ
    template_name = "console/service_tokens.html"
    http_method_names = ["get", "head", "options", "post"]
    site: AdminSite | None = None

    @override
    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        assert self.site is not None  # noqa: S101  (set by the site that routes here)
        self.request.current_app = self.site.name
        rows = [_row(token, now=datetime.now(UTC)) for token in ServiceToken.objects.order_by("-created_at")]
        return {
            **self.site.each_context(self.request),
            **super().get_context_data(**kwargs),
            "title": "Service tokens",
            "rows": rows,
            "open": [row for row in rows if row.is_open],
            "may_manage": self.request.user.has_perm(Permission.TOKEN_MANAGE),
            "scopes": [(scope.value, OPENS[scope]) for scope in Scope],
            "life_days": LIFE_LIMIT.days,
            "overlap_hours": OVERLAP // timedelta(hours=1),
            "overlap_limit_hours": OVERLAP_LIMIT // timedelta(hours=1),
        }

    def post(self, request: HttpRequest) -> HttpResponse:
        form, operator = request.POST, Operator.signed_in(request.user)
        service_tokens.may_manage(operator, name=form.get("name", "")[:64])
        try:
            act = ACTS.get(form.get("act", ""))
            if act is None:
                raise TokenSettingWrong(f"this page knows {', '.join(ACTS)}")
            made = act(operator, form)
        except TokenSettingWrong as refused:
            messages.error(request, str(refused))
            return HttpResponseRedirect(reverse("admin:service_tokens"))
        if made is None:
            messages.success(request, "It is revoked: no secret of it opens the API any more.")
            return HttpResponseRedirect(reverse("admin:service_tokens"))
        return self._once(made)

    def _once(self, made: MadeToken) -> HttpResponse:
        """The only page that ever holds a token."""
        context = {
            **self.get_context_data(),
            "made": made.token,
            "value": made.text,
            "until": moment(made.token.expires_at),
        }
        response = self.render_to_response(context)
        response["Cache-Control"] = "no-store"
        response["Referrer-Policy"] = "no-referrer"
        return response


def _issue(operator: Operator, form: QueryDict) -> MadeToken:
    given, name, known = form.getlist("scope"), form.get("name", "").strip(), set(Scope)
    if wrong := [scope for scope in given if scope not in known]:
        raise TokenSettingWrong(f"{wrong[0][:40]!r} is no scope")
    scopes = [Scope(scope) for scope in given]
    service_tokens.may_manage(operator, name=name[:64], scopes=scopes)
    life = timedelta(days=_number(form, "days"))
    return service_tokens.create(actor=operator.actor, name=name, scopes=scopes, life=life, now=datetime.now(UTC))


def _rotate(operator: Operator, form: QueryDict) -> MadeToken:
    token, known = _open(form), set(Scope)
    scopes = [Scope(scope) for scope in token.scopes if scope in known]
    service_tokens.may_manage(operator, name=token.name, scopes=scopes)
    return service_tokens.rotate(
        actor=operator.actor,
        name=token.name,
        overlap=timedelta(hours=_number(form, "overlap_hours")),
        life=timedelta(days=_number(form, "days")),
        now=datetime.now(UTC),
    )


def _revoke(operator: Operator, form: QueryDict) -> None:
    service_tokens.revoke(actor=operator.actor, name=_open(form).name, now=datetime.now(UTC))


def _open(form: QueryDict) -> ServiceToken:
    """As the page had it: the same form sent twice must not rotate twice. Raises TokenSettingWrong."""
    token = ServiceToken.objects.filter(pk=form.get("token", "").replace("\x00", "")).first()
    if token is None:
        raise TokenSettingWrong("choose a token of the list")
    if token.replaced_at is not None:
        raise TokenSettingWrong(f"{token.name} was rotated since the page was opened, so nothing was done: look again")
    return token


ACTS: Mapping[str, Callable[[Operator, QueryDict], MadeToken | None]] = {
    "issue": _issue,
    "rotate": _rotate,
    "revoke": _revoke,
}


def _number(form: QueryDict, name: str) -> int:
    text = form.get(name, "")
    if not (text.isascii() and text.isdecimal() and int(text[:8]) <= HOURS_LIMIT):
        raise TokenSettingWrong(f"{name.replace('_', ' ')} is {text[:20]!r}: write a whole number")
    return int(text)


def _row(token: ServiceToken, *, now: datetime) -> TokenRow:
    found = state(token, now=now)
    return TokenRow(
        token=token,
        state=found,
        icon=ICONS[found],
        until=moment(token.expires_at),
        used="never" if token.last_used_at is None else f"{token.last_used_at:%Y-%m-%d}",
        is_open=token.revoked_at is None and token.replaced_at is None,
    )
