"""The forms of a provider and its secrets. They refuse, at their field, what the ingress could not use."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any, override

from django import forms
from unfold.widgets import (
    UnfoldAdminIntegerFieldWidget,
    UnfoldAdminSelectWidget,
    UnfoldAdminTextareaWidget,
    UnfoldAdminTextInputWidget,
    UnfoldBooleanWidget,
)

from autocom.kernel.errors import ConfigurationError
from ingestion.models import Provider
from ingestion.provider_changes.errors import ProviderChangeRefused
from ingestion.provider_changes.fit import unfit_fingerprints
from ingestion.provider_changes.rotate import OVERLAP
from ingestion.provider_changes.secret_values import check_new_secret
from ingestion.providers.registry import ADAPTERS, adapter_of

OVERLAP_LIMIT = timedelta(days=90)
MOMENT_HELP = "In UTC, such as 2027-01-31 08:00."


class SecretWidget(UnfoldAdminTextareaWidget):  # type: ignore[misc]  # the theme has no types
    """Never writes a secret into a page, not even into the one that says what is wrong with another field."""

    def __init__(self) -> None:
        super().__init__(attrs={"rows": 3, "autocomplete": "off", "spellcheck": "false"})

    @override
    def format_value(self, value: Any) -> str:
        return ""


def secret_field() -> forms.CharField:
    return forms.CharField(
        required=False,
        widget=SecretWidget(),
        help_text="Paste the secret, public key or certificate that the provider gives. "
        "Empty: a random secret is made and shown once.",
    )


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
        if self.instance.pk and "scheme" in self.changed_data:
            self._check_secrets_fit(scheme)
        return cleaned

    def _check_secrets_fit(self, scheme: str) -> None:
        unfit = unfit_fingerprints(self.instance, adapter=adapter_of(scheme), now=datetime.now(UTC))
        if unfit:
            told = ", ".join(f"…{fingerprint}" for fingerprint in unfit)
            self.add_error("scheme", f"The secrets {told} do not fit this scheme. Revoke them, or add a new provider.")


class AddProviderForm(ProviderForm):
    """With the first secret, checked here so that what is wrong stands at its field."""

    secret = secret_field()

    @override
    def clean(self) -> dict[str, Any]:
        cleaned = super().clean()
        if cleaned.get("name") == "default":
            self.add_error("name", "The provider default takes its secrets from the environment: choose another name.")
        if scheme := cleaned.get("scheme"):
            try:
                check_new_secret(cleaned.get("secret") or None, adapter=adapter_of(scheme))
            except ProviderChangeRefused as error:
                self.add_error("secret", str(error))
        return cleaned


class RotateForm(forms.Form):
    secret = secret_field()
    overlap_hours = forms.IntegerField(
        label="Overlap, hours",
        min_value=0,
        max_value=OVERLAP_LIMIT // timedelta(hours=1),
        initial=OVERLAP // timedelta(hours=1),
        widget=UnfoldAdminIntegerFieldWidget,
        help_text="So long the older secrets stay valid beside the new one; then they end by themselves.",
    )
    not_before = forms.DateTimeField(
        label="Valid from",
        required=False,
        widget=UnfoldAdminTextInputWidget,
        help_text=f"{MOMENT_HELP} Empty: at once.",
    )
    not_after = forms.DateTimeField(
        label="Valid to",
        required=False,
        widget=UnfoldAdminTextInputWidget,
        help_text=f"{MOMENT_HELP} Empty: no end.",
    )
    # of the newest secret when the form was opened: the same form sent twice must not rotate twice
    newest = forms.CharField(required=False, widget=forms.HiddenInput)


class RevokeForm(forms.Form):
    force = forms.BooleanField(
        label="Revoke it all the same",
        required=False,
        widget=UnfoldBooleanWidget,
        help_text="What is still signed with it is refused from then on.",
    )
