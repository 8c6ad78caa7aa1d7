from __future__ import annotations

import os
from argparse import ArgumentParser
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

from autocom.kernel.errors import AutocomError
from console.actions.evidence_store import download as act
from console.actions.operator import Operator
from console.management.errors import UsageWrong
from console.management.provider.printing import say
from evidence.models import Artifact
from evidence.store.reads import artifact_of

HELP = "Write an artifact's bytes to a new file, if they still are what they were."


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("sha256", metavar="SHA256")
    parser.add_argument("--out", required=True, type=Path, metavar="FILE", help="a file that does not exist yet")


def run(*, sha256: str, out: Path, **_: object) -> int:
    artifact = artifact_of(sha256)
    try:
        file = out.open("xb")
    except OSError as error:
        raise UsageWrong(f"{out} cannot be made: {error.strerror}") from None
    _write(artifact, out, file)
    say(f"{artifact.sha256}  {out}  {artifact.size_bytes} bytes")
    return 0


def _write(artifact: Artifact, out: Path, file: BinaryIO) -> None:
    """Raises what `download` raises; then there is no file."""
    try:
        with file:
            file.writelines(act(Operator.command_line(None), artifact))
            file.flush()
            os.fsync(file.fileno())
    except (AutocomError, OSError) as error:
        with suppress(OSError):
            out.unlink()
        if isinstance(error, OSError):
            raise UsageWrong(f"{out} cannot be written: {error.strerror}") from None
        raise
