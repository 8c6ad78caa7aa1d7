"""Uploads in several requests. What came so far waits under digest and total length, and goes after a day.

A part is trusted for nothing: the whole is hashed when it is complete. While a request adds to a file it holds the
file's lock, and what was completed loses its name under that lock, so that nobody writes into an artifact.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from evidence.store.digests import digest_of
from evidence.store.errors import ChecksumMismatch, PartialBusy, TooLarge, TooManyPartials
from evidence.store.media_types import HEAD_BYTES, media_type_of
from evidence.store.room import check_room
from evidence.store.staging import Staged, disk_faults, own_folder, remove_left

PARTIALS_LIMIT_COUNT = 16  # each up to EVIDENCE_LIMIT_BYTES: what unfinished uploads can take of the disk


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """Bytes `first` to `first + length_bytes` of `total_bytes`, of the artifact with this digest."""

    sha256: str
    first: int
    length_bytes: int
    total_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """`staged` once everything is there."""

    come_bytes: int
    staged: Staged | None = None


def come_bytes(*, sha256: str, total_bytes: int) -> int:
    """How much of an upload is here."""
    path = _path(sha256, total_bytes)
    try:
        return path.lstat().st_size
    except FileNotFoundError:
        return 0


@contextmanager
def added(stream: Iterable[bytes], part: Part, *, limit_bytes: int) -> Iterator[Progress]:
    """What the part has beyond what was there is there. A complete upload is staged for the block, then gone from here.

    A part that starts beyond what is there adds nothing. What a broken stream brought stays, for the next part to go on
    from. Raises TooLarge, ChecksumMismatch, PartialBusy, TooManyPartials, QuotaReached and StoreUnavailable.
    """
    if part.total_bytes > limit_bytes:
        raise TooLarge(limit_bytes=limit_bytes)
    path = _path(part.sha256, part.total_bytes)
    _make_way(path, part)
    with _locked(path) as file:
        come = _append(file, stream, part)
        if come < part.total_bytes:
            yield Progress(come_bytes=come)
            return
        try:
            yield Progress(come_bytes=come, staged=_whole(file, path, part))
        finally:
            path.unlink()  # under its lock


def _path(sha256: str, total_bytes: int) -> Path:
    return own_folder("partial") / f"{sha256}-{total_bytes}.part"


def _make_way(path: Path, part: Part) -> None:
    remove_left(path.parent)
    if path.exists():
        return
    check_room(part.total_bytes)  # not yet binding: so that nobody sends what cannot be kept
    if sum(1 for _ in path.parent.glob("*.part")) >= PARTIALS_LIMIT_COUNT:
        raise TooManyPartials(limit_count=PARTIALS_LIMIT_COUNT)


@contextmanager
def _locked(path: Path) -> Iterator[BinaryIO]:
    with disk_faults():
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
    with os.fdopen(descriptor, "r+b") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise PartialBusy from None
        if not _is_still_there(file, path):
            raise PartialBusy  # it was completed between our opening and our lock
        yield file


def _is_still_there(file: BinaryIO, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(file.fileno()), path.lstat())
    except FileNotFoundError:
        return False


def _append(file: BinaryIO, stream: Iterable[bytes], part: Part) -> int:
    come = file.seek(0, os.SEEK_END)
    if part.first > come:
        return come
    known, left = come - part.first, part.length_bytes
    for chunk in stream:
        wanted = chunk[:left]
        left -= len(wanted)
        fresh = wanted[known:]
        known -= len(wanted) - len(fresh)
        with disk_faults():
            file.write(fresh)
            file.flush()
    return file.tell()


def _whole(file: BinaryIO, path: Path, part: Part) -> Staged:
    with disk_faults():
        os.fsync(file.fileno())
        file.seek(0)
        found, size_bytes = digest_of(file)
        file.seek(0)
        head = file.read(HEAD_BYTES)
    if found != part.sha256:
        raise ChecksumMismatch(declared=part.sha256, found=found)
    return Staged(path=path, sha256=found, size_bytes=size_bytes, media_type=media_type_of(head))
