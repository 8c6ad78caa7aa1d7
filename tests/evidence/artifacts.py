"""Artifacts in the store of the tests."""

from __future__ import annotations

from evidence.models import Artifact
from evidence.store import put


def stored_artifact(content: bytes) -> Artifact:
    return put([content], limit_bytes=len(content))
