"""Where artifacts stay: a folder of this machine, or any storage that Django knows (S3 through django-storages)."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from errno import ELOOP, ENOTDIR
from pathlib import Path
from typing import BinaryIO, Protocol, cast

from django.conf import settings
from django.core.files import File
from django.core.files.storage import Storage, storages

from evidence.store.digests import digest_of
from evidence.store.errors import ArtifactChanged, ArtifactMissing, StoreUnavailable
from evidence.store.staging import disk_faults

FOLDER = "artifacts"
STORAGE = "evidence"  # the name in STORAGES, which EVIDENCE_STORE_URL sets


class Place(Protocol):
    def keep(self, staged: Path, sha256: str) -> None:
        """The bytes have their address, durably. Were they there before: they still are what they should be.

        Raises ArtifactChanged where something else stands there, and StoreUnavailable.
        """

    def open(self, sha256: str) -> BinaryIO:
        """Raises ArtifactMissing, ArtifactChanged and StoreUnavailable. The bytes are not checked."""


def place() -> Place:
    """Raises StoreUnavailable where the settings name a storage that cannot be loaded."""
    if STORAGE not in settings.STORAGES:
        return FolderPlace(settings.AUTOCOM.evidence_root)
    with _storage_faults():
        return StoragePlace(storages[STORAGE])


def address(sha256: str) -> tuple[str, ...]:
    return (FOLDER, sha256[:2], sha256[2:4])


@dataclass(frozen=True, slots=True)
class FolderPlace:
    """Walks down by open directories and follows no link, so that nothing planted below the root leads out of it."""

    root: Path

    def keep(self, staged: Path, sha256: str) -> None:
        with disk_faults(), self._folder(sha256, make=True) as folder:
            try:
                os.link(
                    staged, sha256, dst_dir_fd=folder, follow_symlinks=False
                )  # unlike a rename, it replaces nothing
            except FileExistsError:
                with self._file(folder, sha256) as file:
                    check_same(file, sha256)
            os.fsync(folder)

    def open(self, sha256: str) -> BinaryIO:
        try:
            with self._folder(sha256, make=False) as folder:
                return self._file(folder, sha256)
        except FileNotFoundError:
            raise ArtifactMissing(sha256) from None
        except OSError as error:
            raise StoreUnavailable(f"the bytes of {sha256} cannot be read: {error.strerror}") from error

    @contextmanager
    def _folder(self, sha256: str, *, make: bool) -> Iterator[int]:
        folder = os.open(self.root, os.O_RDONLY | os.O_DIRECTORY)
        try:
            for name in address(sha256):
                inner = _inner_folder(folder, name, sha256, make=make)
                os.close(folder)
                folder = inner
            yield folder
        finally:
            os.close(folder)

    def _file(self, folder: int, sha256: str) -> BinaryIO:
        try:  # without waiting, should it be a pipe
            descriptor = os.open(sha256, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=folder)
        except OSError as error:
            if error.errno == ELOOP:
                raise ArtifactChanged(sha256, found="a symbolic link") from None
            raise
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            os.close(descriptor)
            raise ArtifactChanged(sha256, found="no file")
        return os.fdopen(descriptor, "rb")


def _inner_folder(outer: int, name: str, sha256: str, *, make: bool) -> int:
    try:
        return os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=outer)
    except OSError as error:
        if error.errno in (ELOOP, ENOTDIR):
            raise ArtifactChanged(sha256, found=f"below {name}, which is no directory") from None
        if not make or not isinstance(error, FileNotFoundError):
            raise
    try:
        os.mkdir(name, 0o700, dir_fd=outer)
        os.fsync(outer)
    except FileExistsError:
        pass  # another upload was faster
    return os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=outer)


@dataclass(frozen=True, slots=True)
class StoragePlace:
    """Not atomic by itself: two uploads of the same bytes at once may both be sent, to the same address."""

    storage: Storage

    def keep(self, staged: Path, sha256: str) -> None:
        name = "/".join((*address(sha256), sha256))
        with _storage_faults(), staged.open("rb") as file:
            if self.storage.exists(name):
                with self.open(sha256) as present:
                    check_same(present, sha256)
            elif (given := self.storage.save(name, File(file))) != name:
                self._tidy(given, sha256)

    def open(self, sha256: str) -> BinaryIO:
        name = "/".join((*address(sha256), sha256))
        with _storage_faults():
            if not self.storage.exists(name):
                raise ArtifactMissing(sha256)
            return cast("BinaryIO", self.storage.open(name, "rb"))

    def _tidy(self, given: str, sha256: str) -> None:
        """The same bytes came first by another upload, and the storage chose another name for ours."""
        self.storage.delete(given)
        with self.open(sha256) as present:
            check_same(present, sha256)


def check_same(file: BinaryIO, sha256: str) -> None:
    """Raises ArtifactChanged."""
    found, size_bytes = digest_of(file)
    if found != sha256:
        raise ArtifactChanged(sha256, found=f"{size_bytes} bytes with the SHA-256 {found}")


@contextmanager
def _storage_faults() -> Iterator[None]:
    """Each backend has errors of its own; what they say may name a key, so only their kind is told."""
    try:
        yield
    except (ArtifactChanged, ArtifactMissing):
        raise
    except Exception as error:
        raise StoreUnavailable(
            f"the object store of EVIDENCE_STORE_URL does not answer or refuses ({type(error).__name__}): "
            "check its address, bucket and credentials"
        ) from error
