"""To the identity provider and back: the button of the login page, the answer, and for decisions a fresh sign-in."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, override

from django.conf import settings
from django.contrib import messages
from django.contrib.admin import AdminSite
from django.contrib.auth import login
from django.contrib.auth.views import RedirectURLMixin
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.utils.decorators import method_decorator
from django.views import View
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_variables

from console.actions import openid as acts
from console.pages.sign_in import ask_code
from console.sign_in import factor
from console.sign_in.openid import proof
from console.sign_in.openid.answer import subject_behind
from console.sign_in.openid.attempt import Attempt
from console.sign_in.openid.errors import (
    AttemptUnknown,
    IssuerAway,
    IssuerRefused,
    IssuerWrong,
    NotLinked,
    OpenIdError,
    SomebodyElse,
)
from console.sign_in.openid.issuer import DISCOVERED
from console.sign_in.openid.links import used, user_of

BACKEND = (
    "django.contrib.auth.backends.ModelBackend"  # which reads the person of a session, and asks if they are active
)
NOT_BELIEVED = (
    "What it said about this sign-in does not hold, so nobody was signed in. Begin again, and tell an operator if it "
    "stays so."
)
TOLD: Mapping[type[OpenIdError], tuple[int, str]] = {
    AttemptUnknown: (
        400,
        "This sign-in was begun in another browser, is over ten minutes old, or has come back before. Begin again.",
    ),
    IssuerRefused: (403, "It did not let you in, or you did not go through with it. Begin again."),
    IssuerAway: (503, "It does not answer now. Try again in a minute; a password works all the while."),
    IssuerWrong: (502, "It is not set up as this console expects: tell an operator. A password works all the while."),
    NotLinked: (403, "Your account there is not one that may use this console."),
    SomebodyElse: (403, "You signed in there as somebody else than you are here."),
}

log = logging.getLogger(__name__)


class OpenIdPage(RedirectURLMixin, View):
    """Not there while OIDC_ISSUER names no issuer."""

    site: AdminSite | None = None
    next_page = "admin:index"

    @override
    @method_decorator(never_cache)
    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        if not settings.OIDC_ISSUER and (request.method or "").lower() in self.http_method_names:
            raise Http404("sign-in by OpenID Connect is off: OIDC_ISSUER sets it up")
        return super().dispatch(request, *args, **kwargs)

    def leave(self, request: HttpRequest, *, again_for: int | None = None) -> HttpResponse:
        """A page that goes on to the issuer by itself: after a form, `form-action` of the CSP stops a redirect."""
        try:
            issuer = DISCOVERED.issuer(settings.OIDC_ISSUER)
        except OpenIdError as error:
            return self.refuse(request, error)
        attempt = Attempt.begin(request.session, onward=self.get_success_url(), again_for=again_for)
        context = {"address": attempt.address(issuer), "name": settings.OIDC_NAME}
        return render(request, "console/openid_leaving.html", context)

    def refuse(self, request: HttpRequest, error: OpenIdError) -> HttpResponse:
        assert self.site is not None  # noqa: S101  (set by the site that routes here)
        log.warning("openid_refused", extra={"code": error.code, "why": str(error)})
        status, told = TOLD.get(type(error), (403, NOT_BELIEVED))
        request.current_app = self.site.name
        context = {
            **self.site.each_context(request),
            "title": "Not signed in",
            "name": settings.OIDC_NAME,
            "told": told,
            "subject": getattr(error, "subject", ""),
        }
        return render(request, "console/openid_refused.html", context, status=status)


class OpenIdBegin(OpenIdPage):
    http_method_names = ["post"]

    def post(self, request: HttpRequest) -> HttpResponse:
        return self.leave(request)


class OpenIdAgain(OpenIdPage):
    """For whoever is signed in, before they decide: in place of a password."""

    http_method_names = ["post", "options"]

    def post(self, request: HttpRequest) -> HttpResponse:
        return self.leave(request, again_for=request.user.pk)


class OpenIdCallback(OpenIdPage):
    """What the issuer sends the browser back with."""

    http_method_names = ["get"]

    @method_decorator(sensitive_variables())
    def get(self, request: HttpRequest) -> HttpResponse:
        is_begun = Attempt.is_begun(request)
        try:
            attempt = Attempt.take(request, request.GET.get("state", ""))
            subject = subject_behind(request.GET.dict(), attempt=attempt)
            user = _whom(request, subject, attempt=attempt)
        except OpenIdError as error:
            if is_begun:  # else any page's link could fill the log
                acts.refused(error, request=request, subject=getattr(error, "subject", ""))
            return self.refuse(request, error)
        identity = {"issuer": settings.OIDC_ISSUER, "subject": subject}
        used(**identity, now=datetime.now(UTC))
        if attempt.again_for is not None:
            proof.keep(request, user)
            acts.proved(user, **identity)
            messages.success(request, f"You signed in at {settings.OIDC_NAME} again: leave the password empty now.")
        elif factor.is_on(user):
            return ask_code(request, user, backend=BACKEND, onward=attempt.onward, identity=identity)
        else:
            request.sign_in_identity = identity  # type: ignore[attr-defined]  # for the audit entry
            login(request, user, backend=BACKEND)
        return HttpResponseRedirect(attempt.onward)


def _whom(request: HttpRequest, subject: str, *, attempt: Attempt) -> Any:
    """Raises NotLinked, SomebodyElse."""
    user = user_of(issuer=settings.OIDC_ISSUER, subject=subject)
    if attempt.again_for is not None and (user is None or not user.pk == attempt.again_for == request.user.pk):
        raise SomebodyElse(subject=subject)
    if user is None:
        raise NotLinked(subject=subject)
    return user
