"""A bundle is verified, and the audit log says by whom and how it ended."""

from __future__ import annotations

import os
import tempfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from django.db import transaction

from console.access import Permission
from console.actions.operator import Operator, check
from evidence.audit import Act, record
from evidence.bundles.verify import Key, Report, Tell, silent, verify_path
from evidence.log.keys import known_keys
from evidence.models import Artifact, Bundle
from evidence.store import open_artifact
from evidence.store.reads import checked_chunks


def own_keys() -> list[Key]:
    """Every key that ever signed here."""
    return [Key(key.name, key.public) for key in known_keys()]


def verify_file(operator: Operator, path: Path, *, keys: Sequence[Key] = (), kept: Sequence[str] = ()) -> Report:
    """Of a bundle's folder or archive; without `keys`, by those known here. On record when it returns.

    Raises RefusalRecorded and OSError.
    """
    check(operator, Permission.EVIDENCE_READ, subject=f"verify bundle {path.name}")
    report = verify_path(path, keys=keys or own_keys(), kept=kept)
    _record(operator, report, subject=f"bundle {path.name}")
    return report


def verify_artifact(
    operator: Operator,
    artifact: Artifact,
    *,
    keys: Sequence[Key] = (),
    kept: Sequence[str] = (),
    bundle: Bundle | None = None,
    tell: Tell = silent,
) -> Report:
    """As `verify_file`, of an archive in the store. `tell` counts the archive's bytes first, then those of its files.

    Raises ArtifactMissing, ArtifactChanged, StoreUnavailable too.
    """
    subject = f"verify artifact {artifact.sha256}"
    check(operator, Permission.EVIDENCE_READ, subject=subject, row=bundle, on_row=Permission.BUNDLE_READ)
    with tempfile.TemporaryDirectory(prefix="autocom-artifact-") as scratch:
        path = Path(scratch) / f"{artifact.sha256}.tar.gz"
        with path.open("xb") as file:
            for chunk in checked_chunks(open_artifact(artifact.sha256), artifact.sha256):
                file.write(chunk)
                tell("reading the archive", file.tell(), artifact.size_bytes)
        report = verify_path(path, keys=keys or own_keys(), kept=kept, tell=_after(artifact.size_bytes, tell))
    _record(operator, report, subject=f"artifact {artifact.sha256}")
    return report


def _after(size_bytes: int, tell: Tell) -> Tell:
    """For the bytes that follow those of the archive."""
    return lambda step, done, total: tell(step, size_bytes + done, size_bytes + total)


def _record(operator: Operator, report: Report, *, subject: str) -> None:
    facts = {
        "exit_status": report.exit_status,
        "findings": dict(Counter(one.fault for one in report.findings)),
        "unknown_count": len(report.unknown),
        "run_id": str(report.told.get("run", "")),
        "key": str(report.told.get("key", ""))[:200],
    }
    with transaction.atomic(durable=True):
        record(Act.BUNDLE_VERIFIED, actor=operator.actor, subject=_printable(subject), facts=facts)


def _printable(subject: str) -> str:
    """A file's name may hold bytes that are no text."""
    return os.fsencode(subject).decode("utf-8", "replace").replace("\x00", "")
