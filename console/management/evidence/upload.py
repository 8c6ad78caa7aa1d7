from __future__ import annotations

from argparse import ArgumentParser
from collections.abc import Iterator
from pathlib import Path

from django.conf import settings

from console.actions.evidence_store import Uploaded
from console.actions.evidence_store import upload as act
from console.actions.operator import Operator
from console.management.errors import UsageWrong
from console.management.provider.printing import say
from evidence.store import staging
from evidence.store.digests import CHUNK_BYTES, digest_given

HELP = "Keep files as evidence. Each is an artifact under its SHA-256; the same bytes again share the storage."


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("files", nargs="+", type=Path, metavar="FILE")
    parser.add_argument("--sha256", metavar="HEX", help="what the file's SHA-256 has to be; for one file")
    parser.add_argument("--note", default="", help="why it is kept")


def run(*, files: list[Path], sha256: str | None, note: str, **_: object) -> int:
    if sha256 is not None and len(files) > 1:
        raise UsageWrong("--sha256 is of one file: upload each with its own")
    declared = None if sha256 is None else digest_given(sha256)
    for path in files:
        done = _upload(path, declared=declared, note=note)
        artifact = done.upload.artifact
        say(f"{artifact.sha256}  {path}  {artifact.size_bytes} bytes, {'stored' if done.is_new else 'known already'}")
    return 0


def _upload(path: Path, *, declared: str | None, note: str) -> Uploaded:
    with staging(limit_bytes=settings.AUTOCOM.evidence_limit_bytes) as into:
        staged = into.take(_chunks(path))
        operator = Operator.command_line(None)
        return act(operator, staged, name=path.name, note=note, declared_sha256=declared)


def _chunks(path: Path) -> Iterator[bytes]:
    try:
        with path.open("rb") as file:
            while chunk := file.read(CHUNK_BYTES):
                yield chunk
    except OSError as error:
        raise UsageWrong(f"{path} cannot be read: {error.strerror}") from None
