"""A new secret beside the old ones, which end after an overlap: nothing valid is refused while a sender changes."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction

from ingestion.models import Provider, ProviderSecret
from ingestion.provider_changes.errors import SettingRefused
from ingestion.provider_changes.find import adapter_named, locked_provider, touch
from ingestion.provider_changes.secret_values import StoredSecret, store_secret
from ingestion.providers.adapter import Adapter
from ingestion.secret_box import SecretUnreadable, unseal

OVERLAP = timedelta(hours=24)


@dataclass(frozen=True, slots=True, kw_only=True)
class EndingSecret:
    fingerprint: str
    not_after: datetime
    last_used_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class RotatedSecret:
    provider: Provider
    secret: StoredSecret
    ending: tuple[EndingSecret, ...]  # the older ones that are still valid when the new one begins


def rotate_secret(
    *,
    name: str,
    secret: str | None,
    now: datetime,
    not_before: datetime | None = None,
    not_after: datetime | None = None,
    overlap: timedelta = OVERLAP,
) -> RotatedSecret:
    """The new secret (None: a random one) is valid from `not_before`, or now; older ones end `overlap` after that.

    An older secret that ends sooner keeps its end. Raises SettingRefused, SecretKnown, ProviderMissing,
    EnvironmentOnly.
    """
    if overlap < timedelta(0):
        raise SettingRefused("the overlap is negative: give a length such as 24h, 30m or 0")
    begins = not_before or now
    with transaction.atomic():
        provider = locked_provider(name)
        adapter = adapter_named(provider.scheme)
        older = list(provider.secrets.all())
        stored = store_secret(provider, adapter=adapter, given=secret, not_before=begins, not_after=not_after)
        kind = secret_kind(adapter, provider.secrets.get(fingerprint=stored.fingerprint))
        alike = [row for row in older if secret_kind(adapter, row) == kind]
        ending = [_ended(row, at=begins + overlap) for row in alike if row.not_after is None or row.not_after > begins]
        touch(provider)
    return RotatedSecret(provider=provider, secret=stored, ending=tuple(ending))


def _ended(row: ProviderSecret, *, at: datetime) -> EndingSecret:
    if row.not_after is None or row.not_after > at:
        row.not_after = at
        row.save(update_fields=["not_after"])
    return EndingSecret(fingerprint=row.fingerprint, not_after=row.not_after, last_used_at=row.last_used_at)


def secret_kind(adapter: Adapter[Any], row: ProviderSecret) -> str:
    """What the secret is for, where a scheme has secrets that do not stand for each other."""
    kind_of = getattr(adapter, "secret_kind", None)
    try:
        return str(kind_of(unseal(row.ciphertext))) if kind_of else ""
    except SecretUnreadable:
        return "unreadable"  # nobody can tell, so it keeps its end
