"""What an archive holds, read from the archive itself."""

from __future__ import annotations

import hashlib
import tarfile
from dataclasses import dataclass
from typing import IO, BinaryIO

CHUNK_BYTES = 262_144


@dataclass(frozen=True, slots=True)
class BundleFile:
    path: str
    size_bytes: int
    sha256: str


def contents(archive: BinaryIO) -> list[BundleFile]:
    """Every file below the archive's folder, in its order. Nothing is unpacked. Raises tarfile.TarError, OSError."""
    found = []
    with tarfile.open(fileobj=archive, mode="r|gz") as tar:
        for member in tar:
            file = tar.extractfile(member)
            if file is not None:
                path = member.name.partition("/")[2]
                found.append(BundleFile(path, member.size, _digest(file)))
    return found


def _digest(file: IO[bytes]) -> str:
    running = hashlib.sha256()
    while chunk := file.read(CHUNK_BYTES):
        running.update(chunk)
    return running.hexdigest()
