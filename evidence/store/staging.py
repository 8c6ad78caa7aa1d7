"""Bytes on their way in: written, counted and hashed at once, under a name that is nobody's choice."""

from __future__ import annotations

import hashlib
import os
import secrets
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import BinaryIO

from django.conf import settings

from evidence.store.errors import StoreUnavailable, TooLarge
from evidence.store.media_types import HEAD_BYTES, media_type_of

LEFT_AFTER = timedelta(days=1)  # no upload lasts longer; what a crash left is gone then


@dataclass(frozen=True, slots=True, kw_only=True)
class Staged:
    """A complete, durable file that is not in the store yet."""

    path: Path
    sha256: str
    size_bytes: int
    media_type: str


@dataclass(slots=True)
class Staging:
    """Takes the bytes in order."""

    path: Path
    file: BinaryIO
    limit_bytes: int
    size_bytes: int = 0
    head: bytes = b""
    _running: hashlib._Hash = field(default_factory=hashlib.sha256)

    def write(self, chunk: bytes) -> None:
        """Raises TooLarge before the limit is passed, and StoreUnavailable."""
        if self.size_bytes + len(chunk) > self.limit_bytes:
            raise TooLarge(limit_bytes=self.limit_bytes)
        with disk_faults():
            self.file.write(chunk)
        self._running.update(chunk)
        self.size_bytes += len(chunk)
        if len(self.head) < HEAD_BYTES:
            self.head += bytes(chunk[: HEAD_BYTES - len(self.head)])

    def take(self, stream: Iterable[bytes]) -> Staged:
        for chunk in stream:
            self.write(chunk)
        return self.done()

    def done(self) -> Staged:
        """The bytes are on the disk."""
        with disk_faults():
            self.file.flush()
            os.fsync(self.file.fileno())
        return Staged(
            path=self.path,
            sha256=self._running.hexdigest(),
            size_bytes=self.size_bytes,
            media_type=media_type_of(self.head),
        )


@contextmanager
def staging(*, limit_bytes: int) -> Iterator[Staging]:
    """The file is gone after the block; what was kept has a second name by then."""
    folder = own_folder("staging")
    remove_left(folder)
    path = folder / f"{secrets.token_hex(16)}.part"
    with disk_faults():
        file = os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600), "wb")
    try:
        with file:
            yield Staging(path=path, file=file, limit_bytes=limit_bytes)
    finally:
        with suppress(OSError):
            path.unlink()


def own_folder(name: str) -> Path:
    """Below EVIDENCE_ROOT, made where it is missing, for nobody else to read."""
    folder: Path = settings.AUTOCOM.evidence_root / name
    with disk_faults():
        folder.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        folder.mkdir(mode=0o700, exist_ok=True)
        if folder.is_symlink():
            raise StoreUnavailable(f"{folder} is a symbolic link: make it a directory of the services' user")
    return folder


def remove_left(folder: Path) -> None:
    """What uploads left that never came to their end."""
    earliest = time.time() - LEFT_AFTER.total_seconds()
    for path in folder.glob("*.part"):
        with suppress(OSError):  # another upload was faster
            if path.lstat().st_mtime < earliest:
                path.unlink()


@contextmanager
def disk_faults() -> Iterator[None]:
    """Raises StoreUnavailable, with the path and what mends it, for what the disk refuses."""
    try:
        yield
    except OSError as error:
        raise StoreUnavailable(
            f"the evidence store cannot be used: {error.strerror or error} ({error.filename or 'EVIDENCE_ROOT'}). "
            "Free space, give the directory to the services' user, or set EVIDENCE_ROOT to another one"
        ) from error
