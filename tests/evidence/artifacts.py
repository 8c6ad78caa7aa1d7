"""Artifacts in the store of the tests."""

from __future__ import annotations

import hashlib
from pathlib import Path

from django.conf import settings
from django.utils import timezone

from evidence.models import Artifact


def stored_artifact(content: bytes) -> Artifact:
    sha256 = hashlib.sha256(content).hexdigest()
    path = Path(settings.AUTOCOM.evidence_root) / "artifacts" / sha256[:2] / sha256[2:4] / sha256
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return Artifact.objects.get_or_create(
        sha256=sha256,
        defaults={"size_bytes": len(content), "media_type": "application/octet-stream", "stored_at": timezone.now()},
    )[0]
