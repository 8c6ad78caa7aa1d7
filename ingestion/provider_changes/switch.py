"""A provider on or off. What is switched off is told to come again later, signed or not."""

from django.db import transaction

from ingestion.models import Provider
from ingestion.provider_book import DEFAULT
from ingestion.provider_changes.find import locked_provider
from ingestion.providers import generic


def switch_provider(*, name: str, enabled: bool) -> bool:
    """The provider is so afterwards; False when it was already. Raises ProviderMissing."""
    with transaction.atomic():
        provider = _default() if name == DEFAULT else locked_provider(name)
        if provider.enabled is enabled:
            return False
        provider.enabled = enabled
        provider.save(update_fields=["enabled", "updated_at"])
    return True


def _default() -> Provider:
    """Its secrets are the environment's, but it can be switched off like any other."""
    Provider.objects.get_or_create(name=DEFAULT, defaults={"scheme": generic.SCHEME})
    return Provider.objects.select_for_update().get(name=DEFAULT)
