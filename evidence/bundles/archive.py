"""One archive of a folder: the same files give the same bytes, whoever packs them and whenever."""

from __future__ import annotations

import gzip
import tarfile
from datetime import datetime
from pathlib import Path

from evidence.bundles.bag import files

MODE = 0o644
COMPRESS_LEVEL = 9


def pack(folder: Path, archive: Path, *, at: datetime) -> None:
    """`archive` holds the folder's files under its name, in the order of their names, all of the given time."""
    with archive.open("wb") as raw, gzip.GzipFile("", "wb", COMPRESS_LEVEL, raw, mtime=0) as packed:  # noqa: SIM117
        with tarfile.open(fileobj=packed, mode="w", format=tarfile.USTAR_FORMAT) as tar:
            for path in files(folder):
                member = tarfile.TarInfo(f"{folder.name}/{path.relative_to(folder).as_posix()}")
                member.size, member.mtime, member.mode = path.stat().st_size, int(at.timestamp()), MODE
                with path.open("rb") as file:
                    tar.addfile(member, file)
