"""Providers: the one model that people change here. Secrets are never shown, and are set by command only."""

from datetime import UTC, datetime
from typing import Any, override

from django import forms
from django.contrib import admin, messages
from django.db.models import Model, QuerySet
from django.http import HttpRequest
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from unfold.admin import ModelAdmin
from unfold.decorators import action, display
from unfold.widgets import UnfoldAdminSelectWidget

from autocom.kernel.errors import ConfigurationError
from console.refusals import refusals_section
from console.shown import moment, mono
from ingestion.models import Provider
from ingestion.providers.registry import ADAPTERS, adapter_of


class ProviderForm(forms.ModelForm):  # type: ignore[type-arg]  # not generic at run time
    """Refuses what the ingress could not use: an unknown scheme, or options that the scheme's adapter cannot read."""

    scheme = forms.ChoiceField(
        choices=[(scheme, scheme) for scheme in sorted(ADAPTERS)],
        widget=UnfoldAdminSelectWidget,
        help_text="How this provider signs",
    )

    class Meta:
        model = Provider
        fields = ("name", "scheme", "enabled", "options")

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or self.cleaned_data
        scheme, options = cleaned.get("scheme") or self.instance.scheme, cleaned.get("options")
        if not scheme or options is None:
            return cleaned
        if not isinstance(options, dict):
            self.add_error(
                "options", 'Write a JSON object, such as {"ordering_key_path": "data.id"}, or {} for the defaults.'
            )
            return cleaned
        try:
            adapter_of(scheme).read_options(options)
        except ConfigurationError as error:
            self.add_error("options", str(error))
        return cleaned


@admin.register(Provider)
class ProviderAdmin(ModelAdmin):  # type: ignore[misc]
    """Added and switched here, never deleted: stored events name their provider."""

    form = ProviderForm
    list_display = ("name", "scheme", "state", "fingerprints", "changed")
    actions = ("enable", "disable")
    fieldsets = (
        (None, {"fields": ("name", "scheme", "enabled", "options")}),
        ("Secrets", {"fields": ("secrets_table",)}),
        ("Refused deliveries", {"fields": ("refusals",)}),
        ("Times", {"fields": ("created", "changed")}),
    )
    add_fieldsets = ((None, {"fields": ("name", "scheme", "enabled", "options")}),)
    readonly_fields = ("secrets_table", "refusals", "created", "changed")

    @override
    def get_queryset(self, request: HttpRequest) -> QuerySet[Provider]:
        return super().get_queryset(request).prefetch_related("secrets")  # type: ignore[no-any-return]

    @override
    def get_readonly_fields(self, request: HttpRequest, obj: Provider | None = None) -> tuple[str, ...]:
        # the name is part of the URL that the provider posts to, and of every stored event
        return self.readonly_fields if obj is None else ("name", *self.readonly_fields)

    @override
    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    @override
    def get_form(self, request: HttpRequest, obj: Provider | None = None, change: bool = False, **kwargs: Any) -> Any:
        form = super().get_form(request, obj, change, **kwargs)
        if options := form.base_fields.get("options"):
            options.required = False
        return form

    @display(description="State", label={"enabled": "success", "disabled": "warning"})  # type: ignore[untyped-decorator]
    def state(self, provider: Provider) -> str:
        return "enabled" if provider.enabled else "disabled"

    @admin.display(description="Secrets")
    def fingerprints(self, provider: Provider) -> SafeString | str:
        secrets = provider.secrets.all()
        return format_html_join(" ", "{}", ((mono(f"…{secret.fingerprint}"),) for secret in secrets)) or _without(
            provider
        )

    @admin.display(description="Fingerprints")
    def secrets_table(self, provider: Provider) -> SafeString | str:
        rows = [
            (
                secret.fingerprint,
                moment(secret.not_before),
                moment(secret.not_after) if secret.not_after else "no end",
                moment(secret.last_used_at),
            )
            for secret in provider.secrets.all()
        ]
        if not rows:
            return _without(provider)
        return format_html(
            '<div class="console-scroll" tabindex="0" role="region" aria-label="Secrets"><table class="console-table">'
            '<thead><tr><th scope="col">Fingerprint</th><th scope="col">Valid from</th><th scope="col">Valid to</th>'
            '<th scope="col">Last used</th></tr></thead><tbody>{}</tbody></table></div>',
            format_html_join(
                "", '<tr><th scope="row" class="console-mono">{}</th><td>{}</td><td>{}</td><td>{}</td></tr>', rows
            ),
        )

    @admin.display(description="Why")
    def refusals(self, provider: Provider) -> SafeString | str:
        return refusals_section(provider.name, now=datetime.now(UTC))

    @admin.display(description="Created")
    def created(self, provider: Provider) -> SafeString | str:
        return moment(provider.created_at)

    @admin.display(description="Changed")
    def changed(self, provider: Provider) -> SafeString | str:
        return moment(provider.updated_at)

    @action(description="Enable", permissions=["change"])  # type: ignore[untyped-decorator]
    def enable(self, request: HttpRequest, queryset: QuerySet[Provider]) -> None:
        self._switch(request, queryset, enabled=True)

    @action(description="Disable", permissions=["change"])  # type: ignore[untyped-decorator]
    def disable(self, request: HttpRequest, queryset: QuerySet[Provider]) -> None:
        self._switch(request, queryset, enabled=False)

    def _switch(self, request: HttpRequest, queryset: QuerySet[Provider], *, enabled: bool) -> None:
        changed = [provider for provider in queryset if provider.enabled is not enabled]
        for provider in changed:
            provider.enabled = enabled
            # one by one: the ingress sees a change by `updated_at`, which an update of the whole set would not move
            provider.save(update_fields=["enabled", "updated_at"])
            self.log_change(request, provider, "Enabled." if enabled else "Disabled.")
        word = "enabled" if enabled else "disabled"
        names = ", ".join(provider.name for provider in changed) or "none: all were so already"
        messages.success(request, f"{word.capitalize()}: {names}")


def _without(provider: Provider) -> str:
    if provider.name == "default":
        return "from the environment: WEBHOOK_BEARER_KEY and WEBHOOK_HMAC_SECRET"
    return f"none yet: manage.py provider rotate {provider.name} makes one"
