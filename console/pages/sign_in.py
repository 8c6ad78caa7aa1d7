"""The way in: name and password, then the code or the passkey of whoever enrolled a second factor."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast, override

from django import forms
from django.contrib.admin import AdminSite
from django.contrib.auth import REDIRECT_FIELD_NAME, get_user_model, login
from django.contrib.auth.models import AbstractBaseUser
from django.contrib.auth.signals import user_login_failed
from django.contrib.auth.views import LoginView, RedirectURLMixin
from django.core.exceptions import ValidationError
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, JsonResponse
from django.urls import reverse
from django.utils.crypto import constant_time_compare
from django.utils.decorators import method_decorator
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters
from django.views.generic import FormView, View
from unfold.forms import AuthenticationForm
from unfold.widgets import BASE_INPUT_CLASSES

from autocom.kernel.clock import SYSTEM_CLOCK
from console.actions.sign_in import prove
from console.pages.second_factor import question
from console.sign_in import factor
from console.sign_in.factor import CodeRefused, TooManyCodes
from console.sign_in.locks import LOCKED_TOLD, WRONG_TOLD, is_locked, was_refused

PENDING = "console.sign_in.pending"  # in the session of whoever gave their password and no code yet
PENDING_LIMIT_US = 300_000_000
LOCKED_STATUS = 429


class SignInForm(AuthenticationForm):  # type: ignore[misc]  # the theme has no types
    """One sentence for a wrong name, a wrong password and an account that may not come in: they are told alike."""

    @override
    def get_invalid_login_error(self) -> ValidationError:
        return ValidationError(LOCKED_TOLD if was_refused(self.request) else WRONG_TOLD, code="invalid_login")

    @override
    def confirm_login_allowed(self, user: Any) -> None:
        if user.is_active and user.is_staff:
            return
        credentials = {"username": user.get_username()}  # else a right password would be the one that is not counted
        user_login_failed.send(sender=__name__, credentials=credentials, request=self.request)
        raise self.get_invalid_login_error()


class SignInPage(LoginView):
    """Whoever has a second factor is signed in by CodePage alone."""

    @override
    def form_valid(self, form: Any) -> HttpResponse:
        user = form.get_user()
        if not factor.is_on(user):
            return super().form_valid(form)
        return ask_code(self.request, user, backend=user.backend, onward=self.get_redirect_url())

    @override
    def form_invalid(self, form: Any) -> HttpResponse:
        answer = super().form_invalid(form)
        if was_refused(self.request):
            answer.status_code = LOCKED_STATUS
        return answer


def ask_code(
    request: HttpRequest, user: Any, *, backend: str, onward: str, identity: Mapping[str, str] | None = None
) -> HttpResponse:
    """The second step, of whoever took the first. `identity`: who they are at the issuer, where that was the first."""
    request.session[PENDING] = {
        "user": user.pk,
        "backend": backend,
        "password": user.get_session_auth_hash(),
        "at_us": SYSTEM_CLOCK.now_us(),
        "identity": identity,
    }
    query = {REDIRECT_FIELD_NAME: onward} if onward else None
    return HttpResponseRedirect(reverse("admin:sign_in_code", query=query))


class CodeForm(forms.Form):
    code = forms.CharField(
        label="Code of your authenticator app, or a recovery code",
        max_length=32,
        widget=forms.TextInput(
            attrs={"autocomplete": "one-time-code", "autofocus": "", "class": " ".join(BASE_INPUT_CLASSES)}
        ),
    )
    passkey = forms.CharField(required=False, widget=forms.HiddenInput(attrs={"autocomplete": "off"}))

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["code"].required = not self.data.get("passkey")  # the script has filled in that one


class CodePage(RedirectURLMixin, FormView):  # type: ignore[type-arg]
    """The second step, for five minutes after the first."""

    form_class = CodeForm
    template_name = "console/sign_in_code.html"
    http_method_names = ["get", "head", "post"]
    site: AdminSite | None = None
    pending: Any = None

    @override
    @method_decorator(sensitive_post_parameters())
    @method_decorator(never_cache)
    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        self.pending = _pending(request)
        if self.pending is None and (request.method or "").lower() in self.http_method_names:
            return HttpResponseRedirect(reverse("admin:login"))
        return super().dispatch(request, *args, **kwargs)

    @override
    def get_default_redirect_url(self) -> str:
        return reverse("admin:index")

    @override
    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        assert self.site is not None  # noqa: S101  (set by the site that routes here)
        self.request.current_app = self.site.name
        return {
            **self.site.each_context(self.request),
            **super().get_context_data(**kwargs),
            "title": "Second factor",
            "app_path": self.request.get_full_path(),
            "username": self.pending.get_username(),
            "has_passkey": factor.PASSKEY in factor.kinds(self.pending),
        }

    @override
    def get_form(self, form_class: Any = None) -> Any:
        form = super().get_form(form_class)
        if factor.APP not in factor.kinds(self.pending):
            form.fields["code"].label = "Recovery code"
        return form

    @override
    def form_valid(self, form: Any) -> HttpResponse:
        if is_locked(self.request, self.pending.get_username()):
            return self._refused(form, LOCKED_TOLD, LOCKED_STATUS)
        try:
            given = form.cleaned_data
            means = prove(self.pending, given["code"], passkey=given["passkey"], request=self.request)
        except TooManyCodes as error:
            return self._refused(form, _sentence(error), LOCKED_STATUS)
        except CodeRefused as error:
            if was_refused(self.request):
                return self._refused(form, LOCKED_TOLD, LOCKED_STATUS)
            return self._refused(form, _sentence(error), 200)
        told = self.request.session.pop(PENDING)
        self.request.sign_in_means = means  # type: ignore[attr-defined]  # for the audit entry
        self.request.sign_in_identity = told.get("identity")  # type: ignore[attr-defined]  # for the audit entry
        login(self.request, self.pending, backend=told["backend"])
        return HttpResponseRedirect(self.get_success_url())

    def _refused(self, form: Any, told: str, status: int) -> HttpResponse:
        form.add_error("code", told)
        answer = self.form_invalid(form)
        answer.status_code = status
        return answer


class SignInQuestion(View):
    """What a passkey of whoever gave their password is asked."""

    http_method_names = ["options", "post"]

    @method_decorator(never_cache)
    def post(self, request: HttpRequest) -> HttpResponse:
        user = _pending(request)
        if user is None:
            return JsonResponse({"error": "The password was given too long ago: begin again."}, status=409)
        return question(request, user)


def _pending(request: HttpRequest) -> AbstractBaseUser | None:
    """Who gave their password just now; nobody where it was changed since, or where they may not come in any more."""
    told = request.session.get(PENDING)
    if told is None or not 0 <= SYSTEM_CLOCK.now_us() - told["at_us"] <= PENDING_LIMIT_US:
        return None
    user = cast(Any, get_user_model().objects.filter(pk=told["user"], is_active=True, is_staff=True).first())
    if user is None or not constant_time_compare(told["password"], user.get_session_auth_hash()):
        return None
    return cast(AbstractBaseUser, user)


def _sentence(error: Exception) -> str:
    text = str(error)
    return f"{text[0].upper()}{text[1:]}."
