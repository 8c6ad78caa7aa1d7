"""Every stored secret under the newest key. Until then, and after an interruption, the older keys open what is left."""

from __future__ import annotations

from dataclasses import dataclass

from django.db import transaction

from ingestion.models import Provider, ProviderSecret
from ingestion.provider_changes.find import touch
from ingestion.secret_box import SecretUnreadable, is_sealed_by_newest, reseal


@dataclass(frozen=True, slots=True, kw_only=True)
class RekeyReport:
    rekeyed_count: int
    current_count: int  # were under the newest key already
    unreadable: tuple[str, ...]  # "<provider> …<fingerprint>"; left as they are


def rekey_secrets() -> RekeyReport:
    """Safe to run twice, and while everything runs: a process that has both keys opens a secret before and after."""
    rekeyed_count = current_count = 0
    unreadable: list[str] = []
    for provider in Provider.objects.all():
        with transaction.atomic():
            rows = list(provider.secrets.select_for_update())
            stale = [row for row in rows if not is_sealed_by_newest(row.ciphertext)]
            failed = [row for row in stale if not _rekeyed(row)]
            if len(stale) > len(failed):
                touch(provider)
        current_count += len(rows) - len(stale)
        rekeyed_count += len(stale) - len(failed)
        unreadable += [f"{provider.name} …{row.fingerprint}" for row in failed]
    return RekeyReport(rekeyed_count=rekeyed_count, current_count=current_count, unreadable=tuple(unreadable))


def _rekeyed(row: ProviderSecret) -> bool:
    try:
        row.ciphertext = reseal(row.ciphertext)
    except SecretUnreadable:
        return False
    row.save(update_fields=["ciphertext"])
    return True
