"""What is in the store, and whether it still is what it was."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import BinaryIO

from django.db.models import Q, QuerySet

from evidence.models import Artifact, Bundle
from evidence.store.digests import CHUNK_BYTES, digest_given, digest_of
from evidence.store.errors import ArtifactChanged, ArtifactMissing, ArtifactUnknown, DigestInvalid
from evidence.store.places import place

log = logging.getLogger(__name__)


class Condition(StrEnum):
    OK = "ok"
    CHANGED = "changed"
    MISSING = "missing"


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredBytes:
    """What was found at an artifact's address. `found` says it for a person."""

    condition: Condition
    found: str


def artifacts(*, older_than: Artifact | None = None) -> QuerySet[Artifact]:
    """Newest first, with their registrations and bundles."""
    rows = Artifact.objects.order_by("-stored_at", "-sha256").prefetch_related("uploads", "bundles")
    if older_than is None:
        return rows
    same = Q(stored_at=older_than.stored_at, sha256__lt=older_than.sha256)
    return rows.filter(Q(stored_at__lt=older_than.stored_at) | same)


def artifact_of(sha256: str) -> Artifact:
    """Raises DigestInvalid and ArtifactUnknown."""
    wanted = digest_given(sha256)
    found = artifacts().filter(pk=wanted).first()
    if found is None:
        raise ArtifactUnknown(wanted)
    return found


def bundle_of(sha256: str) -> Bundle | None:
    """The bundle whose archive has this digest. None for what is no digest: an address may hold anything."""
    try:
        wanted = digest_given(sha256)
    except DigestInvalid:
        return None
    return Bundle.objects.select_related("artifact").filter(artifact_id=wanted).first()


def open_artifact(sha256: str) -> BinaryIO:
    """The stored bytes, unchecked. Raises DigestInvalid, ArtifactMissing, ArtifactChanged and StoreUnavailable."""
    return place().open(digest_given(sha256))


def checked_chunks(file: BinaryIO, sha256: str) -> Iterator[bytes]:
    """The file's bytes. The last of them are held back until all are known to be right; else raises ArtifactChanged.

    So a reader that counts never takes changed bytes for the whole.
    """
    running, held = hashlib.sha256(), b""
    with file:
        while chunk := file.read(CHUNK_BYTES):
            running.update(chunk)
            if held:
                yield held
            held = chunk
    if running.hexdigest() != sha256:
        log.error("artifact_changed", extra={"sha256": sha256, "found": running.hexdigest()})
        raise ArtifactChanged(sha256, found=f"bytes with the SHA-256 {running.hexdigest()}")
    yield held


def verification(artifact: Artifact) -> StoredBytes:
    """Reads every byte now. Raises StoreUnavailable where that cannot be told."""
    try:
        with open_artifact(artifact.sha256) as file:
            found, size_bytes = digest_of(file)
    except ArtifactMissing as error:
        return StoredBytes(condition=Condition.MISSING, found=str(error))
    except ArtifactChanged as error:
        return StoredBytes(condition=Condition.CHANGED, found=str(error))
    if found != artifact.sha256:
        return StoredBytes(condition=Condition.CHANGED, found=f"{size_bytes} bytes with the SHA-256 {found}")
    return StoredBytes(condition=Condition.OK, found=f"{size_bytes} bytes with that SHA-256")
