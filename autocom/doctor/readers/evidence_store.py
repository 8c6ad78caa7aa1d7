"""What is stored as evidence, and whether its place answers."""

from __future__ import annotations

from django.conf import settings

from autocom.doctor.judgements.disk import StoreFacts
from autocom.doctor.readers.session import read_only
from evidence.store.errors import StoreError
from evidence.store.reads import artifacts, open_artifact
from evidence.store.room import stored_bytes


def read() -> StoreFacts:
    """Opens the newest artifact, but does not read it. Raises django.db.Error."""
    with read_only():
        newest = artifacts().prefetch_related(None).first()
        count, size_bytes = artifacts().count(), stored_bytes()
    return StoreFacts(
        stored_bytes=size_bytes,
        artifact_count=count,
        quota_bytes=settings.AUTOCOM.evidence_quota_bytes,
        trouble=_trouble(newest.sha256) if newest else "",
    )


def _trouble(sha256: str) -> str:
    try:
        open_artifact(sha256).close()
    except StoreError as error:
        return str(error)
    return ""
