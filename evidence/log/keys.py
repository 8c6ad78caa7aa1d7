"""Who signs, and who ever signed."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from django.conf import settings

from autocom.kernel.signed_note import NoteKey, NoteSigner
from autocom.kernel.signing_keys import signers_of
from evidence.log.errors import NoSigningKey
from evidence.models import LogKey


def own_signers() -> Sequence[NoteSigner]:
    """Of this process, the key in use first. Raises NoSigningKey."""
    environment = settings.AUTOCOM
    if not environment.log_signing_key:
        raise NoSigningKey
    return signers_of(environment.log_signing_key, name=environment.log_name)


def known_keys() -> list[NoteKey]:
    """Every key that ever signed here, the newest last. What one of them signed stays verifiable."""
    return [NoteKey.parse(vkey) for vkey in LogKey.objects.order_by("first_used_at").values_list("vkey", flat=True)]


def remember(signers: Sequence[NoteSigner], *, now: datetime) -> list[NoteKey]:
    """Those that had not signed before: they are known from now on."""
    known = set(LogKey.objects.values_list("vkey", flat=True))
    new = [signer.key for signer in signers if signer.key.vkey not in known]
    LogKey.objects.bulk_create([LogKey(vkey=key.vkey, first_used_at=now) for key in new], ignore_conflicts=True)
    return new
