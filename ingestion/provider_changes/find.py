"""The provider that a change is about, locked until the transaction ends."""

from typing import Any

from autocom.kernel.errors import ConfigurationError
from ingestion.models import Provider
from ingestion.provider_book import DEFAULT
from ingestion.provider_changes.errors import EnvironmentOnly, ProviderMissing, SettingRefused
from ingestion.providers.adapter import Adapter
from ingestion.providers.registry import adapter_of


def locked_provider(name: str) -> Provider:
    """Raises ProviderMissing, and EnvironmentOnly for `default`, whose secrets are not stored."""
    if name == DEFAULT:
        raise EnvironmentOnly
    try:
        return Provider.objects.select_for_update().get(name=name)
    except Provider.DoesNotExist:
        raise ProviderMissing(name) from None


def adapter_named(scheme: str) -> Adapter[Any]:
    """Raises SettingRefused that lists the known schemes."""
    try:
        return adapter_of(scheme)
    except ConfigurationError as error:
        raise SettingRefused(str(error)) from None


def touch(provider: Provider) -> None:
    """Every ingress reads the providers again when this time has moved."""
    provider.save(update_fields=["updated_at"])
