"""Evidence goes in and out, each time with its audit entry."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from django.db import transaction

from console.access import Permission
from console.actions.operator import Operator, check
from evidence.audit import Act, record
from evidence.models import Artifact, Bundle, Upload
from evidence.store import Staged, keep, open_artifact, register
from evidence.store.reads import checked_chunks


@dataclass(frozen=True, slots=True)
class Uploaded:
    upload: Upload
    is_new: bool  # nobody had registered these bytes before


def may_upload(operator: Operator) -> None:
    """To ask before the bytes are read. Raises RefusalRecorded."""
    check(operator, Permission.EVIDENCE_UPLOAD, subject="upload evidence")


def upload(
    operator: Operator, staged: Staged, *, name: str, note: str = "", declared_sha256: str | None = None
) -> Uploaded:
    """Stored, registered and on record, or nothing of it. Raises RefusalRecorded and what `keep` raises."""
    may_upload(operator)
    with transaction.atomic(durable=True):
        artifact = keep(staged, declared_sha256=declared_sha256)
        is_new = not artifact.uploads.exists()
        return Uploaded(register(artifact, name=name, actor=operator.actor, note=note), is_new)


def download(operator: Operator, artifact: Artifact, *, bundle: Bundle | None = None) -> Iterator[bytes]:
    """The bytes, checked on the way (`checked_chunks`); on record before the first of them leaves.

    Raises RefusalRecorded, ArtifactMissing, ArtifactChanged and StoreUnavailable.
    """
    subject = f"download artifact {artifact.sha256}"
    check(operator, Permission.EVIDENCE_READ, subject=subject, row=bundle, on_row=Permission.BUNDLE_READ)
    file = open_artifact(artifact.sha256)
    with transaction.atomic(durable=True):
        facts = {"size_bytes": artifact.size_bytes}
        record(Act.ARTIFACT_DOWNLOADED, actor=operator.actor, subject=f"artifact {artifact.sha256}", facts=facts)
    return checked_chunks(file, artifact.sha256)
