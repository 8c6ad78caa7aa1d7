"""SHA-256 as people write it."""

from __future__ import annotations

import hashlib
import re
from typing import BinaryIO

from evidence.store.errors import DigestInvalid

CHUNK_BYTES = 262_144
_DIGEST = re.compile(r"[0-9a-f]{64}")


def digest_given(text: str) -> str:
    """In lower case. Raises DigestInvalid; what passes is safe as a part of a path."""
    lower = text.strip().lower()
    if not _DIGEST.fullmatch(lower):
        raise DigestInvalid(text)
    return lower


def digest_of(file: BinaryIO) -> tuple[str, int]:
    """Of what is left to read, and its length in bytes."""
    running, size_bytes = hashlib.sha256(), 0
    while chunk := file.read(CHUNK_BYTES):
        running.update(chunk)
        size_bytes += len(chunk)
    return running.hexdigest(), size_bytes
