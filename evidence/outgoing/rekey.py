"""Destinations' secrets under the newest key, as `ingestion.provider_changes.rekey` does with the providers'."""

from __future__ import annotations

from evidence.models import Destination
from ingestion.provider_changes.rekey import RekeyReport
from ingestion.secret_box import SecretUnreadable, is_sealed_by_newest, reseal


def rekey_destinations() -> RekeyReport:
    """Safe to run twice. In the caller's transaction."""
    rows = list(Destination.objects.select_for_update())
    stale = [row for row in rows if not is_sealed_by_newest(row.secret_ciphertext)]
    failed = [row for row in stale if not _rekeyed(row)]
    return RekeyReport(
        rekeyed_count=len(stale) - len(failed),
        current_count=len(rows) - len(stale),
        unreadable=tuple(f"destination {row.name} …{row.secret_fingerprint}" for row in failed),
    )


def _rekeyed(row: Destination) -> bool:
    try:
        row.secret_ciphertext = reseal(row.secret_ciphertext)
    except SecretUnreadable:
        return False
    row.save(update_fields=["secret_ciphertext"])
    return True
