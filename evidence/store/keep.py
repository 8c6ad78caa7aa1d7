"""From a staged file to an artifact."""

from __future__ import annotations

from collections.abc import Iterable

from django.db import transaction

from autocom.kernel.clock import SYSTEM_CLOCK, datetime_of
from evidence.models import Artifact
from evidence.store.digests import digest_given
from evidence.store.errors import ChecksumMismatch
from evidence.store.places import place
from evidence.store.room import claim_room
from evidence.store.staging import Staged, staging


def put(stream: Iterable[bytes], *, declared_sha256: str | None = None, limit_bytes: int) -> Artifact:
    """The stream's bytes are an artifact, in constant memory. Nothing is registered yet.

    Raises DigestInvalid, TooLarge, ChecksumMismatch, QuotaReached, ArtifactChanged and StoreUnavailable.
    """
    if declared_sha256 is not None:
        digest_given(declared_sha256)
    with staging(limit_bytes=limit_bytes) as into:
        return keep(into.take(stream), declared_sha256=declared_sha256)


def keep(staged: Staged, *, declared_sha256: str | None = None) -> Artifact:
    """The row is there only where the bytes are. Bytes that a rollback leaves behind count as nothing.

    Known bytes are read again: ArtifactChanged is raised where the stored ones are not what they were, and bytes that
    went missing are back.
    """
    if declared_sha256 is not None and (declared := digest_given(declared_sha256)) != staged.sha256:
        raise ChecksumMismatch(declared=declared, found=staged.sha256)
    with transaction.atomic():
        known = Artifact.objects.filter(pk=staged.sha256).first()
        if known is None:
            claim_room(staged.size_bytes)
        place().keep(staged.path, staged.sha256)
        return known or _row(staged)


def _row(staged: Staged) -> Artifact:
    artifact, _ = Artifact.objects.get_or_create(
        sha256=staged.sha256,
        defaults={
            "size_bytes": staged.size_bytes,
            "media_type": staged.media_type,
            "stored_at": datetime_of(us=SYSTEM_CLOCK.now_us()),
        },
    )
    return artifact
