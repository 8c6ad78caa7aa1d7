"""One secret ends now. Refused where that would refuse what the provider still sends, unless forced."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import transaction

from ingestion.models import Provider, ProviderSecret
from ingestion.provider_changes.errors import SecretEnded, SecretMissing, SecretNeeded
from ingestion.provider_changes.find import adapter_named, locked_provider, touch
from ingestion.provider_changes.rotate import secret_kind

QUIET = timedelta(hours=24)  # a secret that was used within it is in use


@dataclass(frozen=True, slots=True, kw_only=True)
class RevokedSecret:
    provider: Provider
    fingerprint: str
    last_used_at: datetime | None


def revoke_secret(*, name: str, fingerprint: str, force: bool, now: datetime) -> RevokedSecret:
    """What is signed with the secret is refused afterwards, from the moment that each ingress has read it.

    Raises SecretNeeded when it was used in the last 24 hours or is the last valid one and `force` is not set;
    SecretMissing, SecretEnded, ProviderMissing, EnvironmentOnly.
    """
    with transaction.atomic():
        provider = locked_provider(name)
        row = _row(provider, fingerprint.removeprefix("…").lower())
        if row.not_after is not None and row.not_after <= now:
            raise SecretEnded(row.fingerprint, ended_at=row.not_after)
        if not force and (reasons := needs(provider, row, now=now)):
            raise SecretNeeded(f"the secret …{row.fingerprint} {' and '.join(reasons)}")
        row.not_after = now
        row.save(update_fields=["not_after"])
        touch(provider)
    return RevokedSecret(provider=provider, fingerprint=row.fingerprint, last_used_at=row.last_used_at)


def needs(provider: Provider, row: ProviderSecret, *, now: datetime) -> list[str]:
    """Why the secret may still be needed; empty when it can go."""
    reasons = []
    if row.last_used_at is not None and row.last_used_at > now - QUIET:
        reasons.append(f"was last used at {row.last_used_at:%Y-%m-%d %H:%M:%S} UTC, in the last 24 hours")
    if _is_valid(row, now) and not any(_is_valid(other, now) for other in _alike(provider, row)):
        reasons.append("is the last valid one, so everything this provider sends would be refused")
    return reasons


def _row(provider: Provider, fingerprint: str) -> ProviderSecret:
    rows = {row.fingerprint: row for row in provider.secrets.select_for_update()}
    if fingerprint not in rows:
        raise SecretMissing(fingerprint, known=sorted(rows))
    return rows[fingerprint]


def _alike(provider: Provider, row: ProviderSecret) -> list[ProviderSecret]:
    adapter = adapter_named(provider.scheme)
    kind = secret_kind(adapter, row)
    return [other for other in provider.secrets.all() if other.pk != row.pk and secret_kind(adapter, other) == kind]


def _is_valid(row: ProviderSecret, now: datetime) -> bool:
    return row.not_before <= now and (row.not_after is None or now < row.not_after)
