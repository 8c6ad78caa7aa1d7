"""Rotate and revoke as pages of a provider; a secret that was made here is shown on the answer to its form, once.

Nothing keeps the value for the page: the answer to the POST holds it, and no session, message or address does.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.template.response import TemplateResponse
from django.urls import reverse
from django.views.decorators.debug import sensitive_post_parameters

from console.access import Permission
from console.actions import providers
from console.provider_forms import RevokeForm, RotateForm
from console.row_rights import may
from console.shown import moment
from evidence.audit import Actor
from ingestion.models import Provider, ProviderSecret
from ingestion.provider_book import DEFAULT
from ingestion.provider_changes.errors import ProviderChangeRefused, SecretKnown, SecretNeeded, SettingRefused
from ingestion.provider_changes.revoke import needs
from ingestion.provider_changes.rotate import RotatedSecret
from ingestion.provider_changes.secret_values import StoredSecret
from ingestion.provider_states import SecretPhase, provider_state

if TYPE_CHECKING:
    from console.admin.providers import ProviderAdmin

LIVE = (SecretPhase.VALID, SecretPhase.NOT_YET, SecretPhase.UNREADABLE)


def secrets_context(provider: Provider, *, may_change: bool) -> dict[str, Any]:
    """For the panel on a provider's page."""
    state = provider_state(provider, now=datetime.now(UTC))
    rows = [
        {
            "secret": secret,
            "from": moment(secret.not_before) if secret.not_before else "while it is set",
            "to": moment(secret.not_after) if secret.not_after else "no end",
            "used": moment(secret.last_used_at) if secret.source == "stored" else "not recorded",
            "revoke": _address("revoke", provider, secret.fingerprint) if secret.phase in LIVE else "",
        }
        for secret in state.secrets
    ]
    is_stored = provider.name != DEFAULT
    return {
        "secret_rows": rows,
        "secrets_are_stored": is_stored,
        "secrets_problem": state.problem,
        "may_change_secrets": may_change and is_stored,
        "rotate_address": _address("rotate", provider),
    }


@sensitive_post_parameters("secret")
def rotate_page(request: HttpRequest, pk: int, *, admin: ProviderAdmin) -> HttpResponse:
    provider = _changeable(request, pk)
    newest = _newest(provider)
    form = RotateForm(request.POST if request.method == "POST" else None, initial={"newest": newest})
    if request.method == "POST" and form.is_valid():
        if form.cleaned_data["newest"] != newest:
            messages.warning(request, "Its secrets changed since the form was opened, so nothing was done: look again.")
            return _to_provider(provider)
        try:
            rotated = providers.rotate(
                actor=Actor.person(request.user),
                name=provider.name,
                now=datetime.now(UTC),
                **_wanted(form.cleaned_data),
            )
        except ProviderChangeRefused as refused:
            form.add_error("secret" if isinstance(refused, SettingRefused | SecretKnown) else None, str(refused))
        else:
            return _rotated(request, provider, rotated, admin)
    context = {"form": form, "title": f"Rotate the secret of {provider.name}"}
    return _page(request, admin, "console/provider_rotate.html", provider, context)


def _wanted(cleaned: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "secret": cleaned["secret"] or None,
        "overlap": timedelta(hours=cleaned["overlap_hours"]),
        "not_before": cleaned["not_before"],
        "not_after": cleaned["not_after"],
    }


def _rotated(request: HttpRequest, provider: Provider, rotated: RotatedSecret, admin: ProviderAdmin) -> HttpResponse:
    ends = [f"…{old.fingerprint} ends {old.not_after:%Y-%m-%d %H:%M} UTC" for old in rotated.ending]
    said = "; ".join([f"Secret …{rotated.secret.fingerprint} added", *ends])
    admin.log_change(request, provider, f"{said}.")
    messages.success(request, f"{said}. Every ingress takes it within about two seconds.")
    if rotated.secret.generated is None:
        return _to_provider(provider)
    return once_page(request, provider, rotated.secret, admin=admin)


def once_page(request: HttpRequest, provider: Provider, stored: StoredSecret, *, admin: ProviderAdmin) -> HttpResponse:
    """The only page that ever holds a secret."""
    context = {"value": stored.generated, "fingerprint": stored.fingerprint, "title": f"New secret of {provider.name}"}
    response = _page(request, admin, "console/provider_secret_once.html", provider, context)
    response["Cache-Control"] = "no-store"
    response["Referrer-Policy"] = "no-referrer"
    return response


def revoke_page(request: HttpRequest, pk: int, fingerprint: str, *, admin: ProviderAdmin) -> HttpResponse:
    provider = _changeable(request, pk)
    secret = get_object_or_404(ProviderSecret, provider=provider, fingerprint=fingerprint)
    now = datetime.now(UTC)
    reasons = needs(provider, secret, now=now)
    form = RevokeForm(request.POST if request.method == "POST" else None)
    if request.method == "POST" and form.is_valid():
        try:
            providers.revoke(
                actor=Actor.person(request.user),
                name=provider.name,
                fingerprint=fingerprint,
                force=form.cleaned_data["force"],
                now=now,
            )
        except SecretNeeded:
            form.add_error("force", "Tick it to revoke the secret although it may still be needed.")
        except ProviderChangeRefused as refused:
            form.add_error(None, str(refused))
        else:
            admin.log_change(request, provider, f"Secret …{fingerprint} revoked.")
            messages.success(request, f"Secret …{fingerprint} is revoked: every ingress refuses it within two seconds.")
            return _to_provider(provider)
    context = {
        "form": form,
        "secret": secret,
        "reasons": reasons,
        "last_used": moment(secret.last_used_at),
        "valid_from": moment(secret.not_before),
        "valid_to": moment(secret.not_after) if secret.not_after else "no end",
        "title": f"Revoke secret …{fingerprint} of {provider.name}",
    }
    return _page(request, admin, "console/provider_revoke.html", provider, context)


def _changeable(request: HttpRequest, pk: int) -> Provider:
    """The provider, to those who may change it. `default` has no stored secrets, so no such pages."""
    found = Provider.objects.prefetch_related("secrets").filter(pk=pk).first()
    if not may(request.user, Permission.PROVIDER_CHANGE, found):
        raise PermissionDenied(Permission.PROVIDER_CHANGE.value)
    if found is None:
        raise Http404("there is no such provider")
    if found.name == DEFAULT:
        raise Http404("the provider default takes its secrets from the environment")
    return found


def _newest(provider: Provider) -> str:
    secret = provider.secrets.order_by("-pk").first()
    return secret.fingerprint if secret else ""


def _page(
    request: HttpRequest, admin: ProviderAdmin, template: str, provider: Provider, context: dict[str, Any]
) -> TemplateResponse:
    site = admin.admin_site.each_context(request)
    own = {"provider": provider, "back": _change_address(provider), "opts": provider._meta, **context}
    return TemplateResponse(request, template, {**site, **own})


def _to_provider(provider: Provider) -> HttpResponseRedirect:
    return HttpResponseRedirect(_change_address(provider))


def _change_address(provider: Provider) -> str:
    return reverse("admin:ingestion_provider_change", args=[provider.pk])


def _address(page: str, provider: Provider, *more: str) -> str:
    return reverse(f"admin:ingestion_provider_{page}", args=[provider.pk, *more])
