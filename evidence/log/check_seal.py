"""One seal against what its leaves came to, its own text, its signature and its files."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

from autocom.kernel.clock import SYSTEM_CLOCK, datetime_of
from autocom.kernel.digest import sha256
from autocom.kernel.merkle import Frontier
from autocom.kernel.signed_note import NoteInvalid, NoteKey, open_note
from evidence.log.files import seal_path, segment_path
from evidence.log.findings import LogCheck, LogFault
from evidence.log.seal_text import SealInvalid, SealText, moment_text
from evidence.models import Seal

SEALED_WITHIN = timedelta(seconds=60)


def check_seal(
    seal: Seal, *, frontier: Frontier, segment_sha256: bytes | None, keys: Sequence[NoteKey], found: LogCheck
) -> None:
    """`frontier`: of all leaves up to its end. `segment_sha256`: of its lines as the rows give them; None where not all
    of them are as they were sealed, which is a finding already."""
    where = f"{seal.incarnation.origin} seal {seal.number}"
    try:
        told = SealText.parse(seal.text)
        signed = open_note(told.note).signed_by(keys)
    except (SealInvalid, NoteInvalid) as error:
        found.add(LogFault.INVALID, where, str(error))
        return
    if not signed:
        found.add(LogFault.INVALID, where, "its checkpoint is signed by no key of this log")
    if not _has_columns_of(seal, told):
        found.add(LogFault.CHANGED, where, "its columns are not what its text says")
    if frontier.size == seal.tree_size:
        _check_tree(seal, told, frontier, where, found)
    if segment_sha256 not in (None, told.segment_sha256):
        found.add(LogFault.CHANGED, where, "its rows give another segment than the one that was sealed")
    _check_file(segment_path(seal.incarnation, seal.number), told.segment_sha256, seal, where, found)
    _check_file(seal_path(seal.incarnation, seal.number), sha256(seal.text.encode()), seal, where, found)


def _has_columns_of(seal: Seal, told: SealText) -> bool:
    columns = (seal.incarnation.origin, seal.number, seal.first_index, seal.tree_size, seal.segment_bytes)
    digests = (bytes(seal.root), bytes(seal.segment_sha256), bytes(seal.previous_sha256))
    if moment_text(seal.sealed_at) != told.sealed_at:
        return False
    return columns == (told.origin, told.number, told.first_index, told.tree_size, told.segment_bytes) and digests == (
        told.checkpoint.root,
        told.segment_sha256,
        told.previous_sha256,
    )


def _check_tree(seal: Seal, told: SealText, frontier: Frontier, where: str, found: LogCheck) -> None:
    if frontier.root != told.checkpoint.root:
        shown = base64.b64encode(frontier.root).decode()
        found.add(LogFault.CHANGED, where, f"the rows give another root ({shown}) than the one that was signed")
    if b"".join(frontier.roots) != bytes(seal.frontier):
        found.add(LogFault.CHANGED, where, "its frontier is not that of its leaves")


def _check_file(path: Path, digest: bytes, seal: Seal, where: str, found: LogCheck) -> None:
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        if seal.sealed_at < datetime_of(us=SYSTEM_CLOCK.now_us()) - SEALED_WITHIN:  # a younger one may be on its way
            found.add(LogFault.MISSING, where, f"the file {shown(path)} is missing")
    except OSError as error:
        found.add(LogFault.MISSING, where, f"the file {shown(path)} cannot be read: {error.strerror}")
    else:
        if sha256(content) != digest:
            found.add(LogFault.CHANGED, where, f"the file {shown(path)} is not what was sealed")


def shown(path: Path) -> str:
    """Below EVIDENCE_ROOT."""
    return "/".join(path.parts[-4:])
