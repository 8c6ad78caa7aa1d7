"""The roots of every 256, 65,536, … leaves of a log, one flat file a level, 32 bytes each, that only grow.

They lie beside the log's other files, `nodes/1`, `nodes/2`, …, are written by the one who seals, and may be deleted:
they are made again. Nobody trusts them: whoever reads a proof made with their help verifies it.
"""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

HASH_BYTES = 32


class NodeFiles:
    """`folder` need not exist. Reading writes nothing."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def hashes(self, level: int, first: int, end: int) -> list[bytes]:
        """Those of the asked ones that are there, from the first on."""
        try:
            with (self.folder / str(level)).open("rb") as file:
                file.seek(first * HASH_BYTES)
                found = file.read((end - first) * HASH_BYTES)
        except OSError:  # not there, or not readable here: then they are computed
            return []
        whole = len(found) // HASH_BYTES * HASH_BYTES  # somebody may be writing
        return [found[at : at + HASH_BYTES] for at in range(0, whole, HASH_BYTES)]

    def count(self, level: int) -> int:
        try:
            return (self.folder / str(level)).stat().st_size // HASH_BYTES
        except OSError:
            return 0

    def append(self, level: int, hashes: list[bytes], *, after: int) -> None:
        """`after`: how many are there. Under `growing` only."""
        with (self.folder / str(level)).open("ab") as file:
            file.truncate(after * HASH_BYTES)  # half a hash of a writer that died
            file.write(b"".join(hashes))

    @contextmanager
    def growing(self) -> Iterator[None]:
        """One at a time. Raises OSError."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with (self.folder / ".lock").open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield

    def forget(self) -> None:
        """Everything, so that it is made again."""
        with self.growing():
            for file in self.folder.iterdir():
                if file.name != ".lock":
                    file.unlink()
