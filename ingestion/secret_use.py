"""When each stored secret was last used, so that an old one can be revoked without guessing.

The request path only notes it in memory; each process's housekeeping writes it about once a second.
"""

from __future__ import annotations

from django.db.models import Q

from autocom.kernel.clock import datetime_of
from ingestion.models import ProviderSecret
from ingestion.provider_book import DEFAULT
from ingestion.providers.adapter import Secret


class SecretUses:
    """The newest use of each secret in this process: as many entries as providers have secrets, so none is dropped."""

    def __init__(self) -> None:
        self._noted_us: dict[tuple[str, str], int] = {}
        self._written_us: dict[tuple[str, str], int] = {}

    def note(self, *, provider: str, secret: Secret | None, now_us: int) -> None:
        """Remembered until `write`. None, and the environment's secrets of `default`, have no row to write to."""
        if secret is not None and provider != DEFAULT:
            self._noted_us[provider, secret.fingerprint] = now_us

    def write(self) -> int:
        """Stores what is new and says how many; a later time in the table stays. Raises django.db.Error."""
        new = {key: at_us for key, at_us in self._noted_us.copy().items() if self._written_us.get(key, -1) < at_us}
        for key, at_us in new.items():
            _store(key, at_us=at_us)
            self._written_us[key] = at_us
        return len(new)


def _store(key: tuple[str, str], *, at_us: int) -> None:
    provider, fingerprint = key
    at = datetime_of(us=at_us)
    rows = ProviderSecret.objects.filter(provider__name=provider, fingerprint=fingerprint)
    rows.filter(Q(last_used_at=None) | Q(last_used_at__lt=at)).update(last_used_at=at)


SECRET_USES = SecretUses()
