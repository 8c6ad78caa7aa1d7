"""The logs as files, for whoever trusts files more than a database: segments, seals, the newest checkpoint.

A pure function of the rows: whatever is missing is written again. A file that is there is never overwritten, save the
checkpoint, which is replaced by a longer tree's.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from threading import get_native_id

from django.conf import settings

from evidence.log.reads import checkpoint_note, last_of, leaf_lines
from evidence.models import LogIncarnation, Seal

CHECKPOINT = "checkpoint"
CURRENT = "current"  # beside the incarnations' folders: the newest one's token
TEMPORARY = ".tmp"


def log_folder(log: str) -> Path:
    root: Path = settings.AUTOCOM.evidence_root
    return root / "log" / log


def folder_of(incarnation: LogIncarnation) -> Path:
    return log_folder(incarnation.log) / incarnation.token


def segment_path(incarnation: LogIncarnation, number: int) -> Path:
    return folder_of(incarnation) / "segments" / f"{number:08d}.txt"


def seal_path(incarnation: LogIncarnation, number: int) -> Path:
    return folder_of(incarnation) / "seals" / f"{number:08d}.txt"


def published_note(incarnation: LogIncarnation) -> str:
    """The checkpoint file's text; empty while there is none. Raises OSError."""
    try:
        return (folder_of(incarnation) / CHECKPOINT).read_text(encoding="utf-8")
    except FileNotFoundError:
        return ""


def segment_text(lines: Iterable[bytes]) -> bytes:
    return b"".join(line + b"\n" for line in lines)


def stage(incarnation: LogIncarnation, number: int, content: bytes) -> Path:
    """The segment under a temporary name. Raises OSError: what cannot be written must not be sealed."""
    path = segment_path(incarnation, number).with_suffix(TEMPORARY)
    _make_folder(path.parent)
    with suppress(FileNotFoundError):
        path.unlink()  # of a sealer that died, or whose transaction failed
    _write(path, content)
    return path


def publish(incarnation: LogIncarnation) -> int:
    """Every file of the incarnation is there and the checkpoint is the newest. How many were written. Raises OSError.

    Looks back from the newest seal until one has both files: earlier ones had them before.
    """
    last = last_of(incarnation)
    if last is None:
        return 0
    written_count = 0
    for number in range(last.number, 0, -1):
        if seal_path(incarnation, number).exists() and segment_path(incarnation, number).exists():
            break
        written_count += _publish_seal(incarnation, number)
    note = checkpoint_note(last)
    if published_note(incarnation) != note:
        replace(folder_of(incarnation) / CHECKPOINT, note.encode())
        replace(log_folder(incarnation.log) / CURRENT, incarnation.token.encode() + b"\n")
    return written_count


def republish(incarnation: LogIncarnation) -> int:
    """As `publish`, looking at every seal: after files were lost. Raises OSError."""
    numbers = Seal.objects.filter(incarnation=incarnation).values_list("number", flat=True)
    written_count = sum(_publish_seal(incarnation, number) for number in numbers.order_by("number").iterator())
    return written_count + publish(incarnation)


def _publish_seal(incarnation: LogIncarnation, number: int) -> int:
    seal = Seal.objects.get(incarnation=incarnation, number=number)
    lines = leaf_lines(incarnation, seal.first_index, seal.tree_size)
    return _write_once(segment_path(incarnation, number), segment_text(lines)) + _write_once(
        seal_path(incarnation, number), seal.text.encode()
    )


def _write_once(path: Path, content: bytes) -> int:
    if path.exists():
        return 0
    _make_folder(path.parent)
    replace(path, content)
    return 1


def replace(path: Path, content: bytes) -> None:
    """All of the content or what was there before, whatever dies. Raises OSError."""
    _make_folder(path.parent)
    temporary = path.with_name(f"{path.name}.{get_native_id()}{TEMPORARY}")
    with suppress(FileNotFoundError):
        temporary.unlink()
    _write(temporary, content)
    move(temporary, path)


def move(temporary: Path, path: Path) -> None:
    """The name is on disk afterwards too."""
    temporary.rename(path)
    _sync_folder(path.parent)


def _write(path: Path, content: bytes) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
    except OSError:
        path.unlink()
        raise


def _make_folder(folder: Path) -> None:
    if not folder.is_dir():
        folder.mkdir(mode=0o755, parents=True, exist_ok=True)
        _sync_folder(folder.parent)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
