"""Second factors at rest: what allauth stores of them is sealed as the providers' secrets are."""

from __future__ import annotations

from typing import override

from allauth.mfa.adapter import DefaultMFAAdapter
from allauth.mfa.models import Authenticator

from ingestion.provider_changes.rekey import RekeyReport
from ingestion.secret_box import SecretUnreadable, is_sealed_by_newest, reseal, seal, unseal

SEALED = ("secret", "seed")  # of an authenticator app, of recovery codes


class SealingAdapter(DefaultMFAAdapter):  # type: ignore[misc]  # allauth has no types here
    @override
    def encrypt(self, text: str) -> str:
        return seal(text).decode()

    @override
    def decrypt(self, encrypted_text: str) -> str:
        """Raises SecretUnreadable."""
        return unseal(encrypted_text.encode())


def rekey_factors() -> RekeyReport:
    """Safe to run twice. In the caller's transaction."""
    public = Authenticator.Type.WEBAUTHN  # of a passkey the public key is here, and nothing to seal
    rows = list(Authenticator.objects.select_for_update().exclude(type=public))
    stale = [row for row in rows if not is_sealed_by_newest(_sealed(row))]
    failed = [row for row in stale if not _rekeyed(row)]
    return RekeyReport(
        rekeyed_count=len(stale) - len(failed),
        current_count=len(rows) - len(stale),
        unreadable=tuple(f"second factor {row.pk} ({row.type})" for row in failed),
    )


def _sealed(row: Authenticator) -> bytes:
    return str(row.data[_name(row)]).encode()


def _name(row: Authenticator) -> str:
    (name,) = (name for name in SEALED if name in row.data)
    return name


def _rekeyed(row: Authenticator) -> bool:
    try:
        row.data[_name(row)] = reseal(_sealed(row)).decode()
    except SecretUnreadable:
        return False
    row.save(update_fields=["data"])
    return True
