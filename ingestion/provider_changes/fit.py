"""Do the stored secrets fit a scheme? Asked before a provider changes to another one."""

from datetime import datetime
from typing import Any

from autocom.kernel.errors import ConfigurationError
from ingestion.models import Provider
from ingestion.providers.adapter import Adapter
from ingestion.secret_box import SecretUnreadable, unseal


def unfit_fingerprints(provider: Provider, *, adapter: Adapter[Any], now: datetime) -> list[str]:
    """Of the secrets that have not ended, those that the adapter could not verify with."""
    unfit = []
    for row in provider.secrets.all():
        if row.not_after is not None and row.not_after <= now:
            continue
        try:
            adapter.check_secret(unseal(row.ciphertext))
        except (ConfigurationError, SecretUnreadable):
            unfit.append(row.fingerprint)
    return unfit
