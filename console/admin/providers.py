"""Providers: the one model that people change here. A secret is shown once, when it is made, and never again."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import partial
from typing import Any, override

from django.contrib import admin, messages
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.core.exceptions import PermissionDenied
from django.db.models import Model, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import URLPattern, path, reverse
from django.utils.decorators import method_decorator
from django.utils.html import format_html_join
from django.utils.safestring import SafeString
from django.views.decorators.debug import sensitive_post_parameters
from unfold.admin import ModelAdmin
from unfold.decorators import action, display

from console.access import Permission
from console.actions import providers
from console.actions.operator import Operator, check
from console.certificates import certificates_section
from console.provider_forms import AddProviderForm, ProviderForm
from console.provider_secrets import once_page, revoke_page, rotate_page, secrets_context
from console.refusals import refusals_section
from console.row_rights import holds_somewhere, may, visible
from console.shown import moment, mono, whole_id
from evidence.audit import Actor
from ingestion.models import Provider
from ingestion.provider_book import DEFAULT
from ingestion.provider_changes.add import AddedProvider
from ingestion.provider_changes.errors import ProviderChangeRefused
from ingestion.providers import ses
from ingestion.receive import base_url

ADDED = "autocom.added_provider"  # in the request's META: from the verb to the answer, and nowhere else


@admin.register(Provider)
class ProviderAdmin(ModelAdmin):  # type: ignore[misc]
    """Added and switched here, never deleted: stored events name their provider."""

    form = ProviderForm
    list_display = ("name", "scheme", "state", "fingerprints", "last_used", "changed")
    actions = ("enable", "disable")
    fieldsets = (
        (None, {"fields": ("name", "address", "scheme", "enabled", "options")}),
        ("Refused deliveries", {"fields": ("refusals",)}),
        ("Times", {"fields": ("created", "changed")}),
    )
    add_fieldsets = ((None, {"fields": ("name", "scheme", "options", "secret")}),)
    readonly_fields = ("address", "certificates", "refusals", "created", "changed")
    change_form_outer_after_template = "console/provider_secrets.html"

    @override
    def get_queryset(self, request: HttpRequest) -> QuerySet[Provider]:
        rows: QuerySet[Provider] = super().get_queryset(request).prefetch_related("secrets")
        return visible(request.user, Permission.PROVIDER_READ, rows)

    @override
    def get_object(self, request: HttpRequest, object_id: str, from_field: str | None = None) -> Provider | None:
        """Raises PermissionDenied for a row that is not for this user, rather than to say that there is none."""
        found: Provider | None = super().get_object(request, object_id, from_field)
        if found is None and not request.user.has_perm(Permission.PROVIDER_READ):
            raise PermissionDenied(Permission.PROVIDER_READ.value)
        return found

    @override
    def has_view_permission(self, request: HttpRequest, obj: Provider | None = None) -> bool:
        return self._may(request, Permission.PROVIDER_READ, obj)

    @override
    def has_change_permission(self, request: HttpRequest, obj: Provider | None = None) -> bool:
        return self._may(request, Permission.PROVIDER_CHANGE, obj)

    @override
    def has_module_permission(self, request: HttpRequest) -> bool:
        return self.has_view_permission(request)

    def _may(self, request: HttpRequest, permission: Permission, provider: Provider | None) -> bool:
        """Without a provider the question is about any of them: whether there is a list, and acts to offer on it."""
        if may(request.user, permission, provider):
            return True
        return provider is None and holds_somewhere(request.user, permission, Provider)

    @override
    def get_readonly_fields(self, request: HttpRequest, obj: Provider | None = None) -> tuple[str, ...]:
        # the name is part of the URL that the provider posts to, and of every stored event
        return self.readonly_fields if obj is None else ("name", *self.readonly_fields)

    @override
    def get_fieldsets(self, request: HttpRequest, obj: Provider | None = None) -> Any:
        sets = list(super().get_fieldsets(request, obj))
        if obj is not None and obj.scheme == ses.SCHEME:
            sets.insert(1, ("Amazon SNS", {"fields": ("certificates",)}))
        return sets

    @override
    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    @override
    def get_form(self, request: HttpRequest, obj: Provider | None = None, change: bool = False, **kwargs: Any) -> Any:
        if obj is None:
            kwargs["form"] = AddProviderForm
        form = super().get_form(request, obj, change, **kwargs)
        if options := form.base_fields.get("options"):
            options.required = False
        return form

    @override
    def get_urls(self) -> list[URLPattern]:
        site = self.admin_site.admin_view
        return [
            path("<int:pk>/rotate/", site(partial(rotate_page, admin=self)), name="ingestion_provider_rotate"),
            path(
                "<int:pk>/secrets/<str:fingerprint>/revoke/",
                site(partial(revoke_page, admin=self)),
                name="ingestion_provider_revoke",
            ),
            *super().get_urls(),
        ]

    @override
    @method_decorator(sensitive_post_parameters("secret"))
    def changeform_view(
        self, request: HttpRequest, object_id: str | None = None, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        provider = self.get_object(request, object_id) if object_id else None
        context = dict(extra_context or {})
        if provider is None:  # the answer to an addition may be the page with the secret, which nothing may replace
            context |= {"show_save_and_add_another": False, "show_save_and_continue": False}
        if provider is not None:
            context |= secrets_context(provider, may_change=self.has_change_permission(request, provider))
        try:
            answer: HttpResponse = super().changeform_view(request, object_id, form_url, context)
        except ProviderChangeRefused as refused:  # somebody else was faster than the form's own checks
            messages.error(request, str(refused))
            return HttpResponseRedirect(request.path)
        return answer

    @override
    def save_model(self, request: HttpRequest, obj: Provider, form: Any, change: Any) -> None:
        if change:
            super().save_model(request, obj, form, change)
            providers.changed(actor=Actor.person(request.user), provider=obj, fields=form.changed_data)
            return
        added = providers.add(
            actor=Actor.person(request.user),
            name=obj.name,
            scheme=obj.scheme,
            options=obj.options,
            secret=form.cleaned_data["secret"] or None,
            now=datetime.now(UTC),
        )
        obj.pk = added.provider.pk
        request.META[ADDED] = added

    @override
    def response_add(self, request: HttpRequest, obj: Provider, post_url_continue: str | None = None) -> HttpResponse:
        added: AddedProvider = request.META.pop(ADDED)
        messages.success(request, f"Added {obj.name} with the secret …{added.secret.fingerprint}.")
        if added.secret.generated is not None:
            return once_page(request, added.provider, added.secret, admin=self)
        return HttpResponseRedirect(reverse("admin:ingestion_provider_change", args=[obj.pk]))

    @display(description="State", label={"enabled": "success", "disabled": "warning"})  # type: ignore[untyped-decorator]
    def state(self, provider: Provider) -> str:
        return "enabled" if provider.enabled else "disabled"

    @admin.display(description="Secrets")
    def fingerprints(self, provider: Provider) -> SafeString | str:
        now = datetime.now(UTC)
        live = [secret for secret in provider.secrets.all() if secret.not_after is None or secret.not_after > now]
        if live:
            return format_html_join(" ", "{}", ((mono(f"…{secret.fingerprint}"),) for secret in live))
        if provider.name == DEFAULT:
            return "from the environment"
        if provider.scheme == ses.SCHEME:
            return "by certificates"
        return f"none valid: manage.py provider rotate {provider.name} makes one"

    @admin.display(description="Last used")
    def last_used(self, provider: Provider) -> SafeString | str:
        if provider.name == DEFAULT:
            return "not recorded"
        return moment(
            max((secret.last_used_at for secret in provider.secrets.all() if secret.last_used_at), default=None)
        )

    @admin.display(description="Posts to")
    def address(self, provider: Provider) -> SafeString:
        return whole_id(f"{base_url()}/webhooks/{provider.name}")

    @admin.display(description="Why")
    def refusals(self, provider: Provider) -> SafeString | str:
        return refusals_section(provider.name, now=datetime.now(UTC))

    @admin.display(description="Certificates and subscriptions")
    def certificates(self, provider: Provider) -> SafeString:
        return certificates_section(provider, now=datetime.now(UTC))

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
        chosen = Provider.objects.filter(pk__in=request.POST.getlist(ACTION_CHECKBOX_NAME))
        for each in chosen.union(queryset):  # the list offers the act to who may change any provider, and shows some
            subject, operator = f"provider {each.name}", Operator.signed_in(request.user)
            check(operator, Permission.PROVIDER_CHANGE, subject=subject, row=each)
        actor = Actor.person(request.user)
        changed = [each for each in queryset if providers.switch(actor=actor, name=each.name, enabled=enabled)]
        for provider in changed:
            self.log_change(request, provider, "Enabled." if enabled else "Disabled.")
        word = "enabled" if enabled else "disabled"
        names = ", ".join(provider.name for provider in changed) or "none: all were so already"
        messages.success(request, f"{word.capitalize()}: {names}")
