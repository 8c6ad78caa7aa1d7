from __future__ import annotations

from argparse import ArgumentParser

from console.management.provider.arguments import add_json
from console.management.provider.printing import iso, say, say_json
from evidence.models import Artifact
from evidence.store.reads import artifacts

HELP = "List the artifacts, newest first, with who brought each."


def add_arguments(parser: ArgumentParser) -> None:
    add_json(parser)


def run(*, json: bool, **_: object) -> int:
    rows = artifacts()
    if json:
        say_json({"artifacts": [_told(artifact) for artifact in rows]})
        return 0
    for artifact in rows:
        say(f"{artifact.sha256}  {artifact.size_bytes} bytes  {artifact.media_type}")
        for upload in artifact.uploads.all():
            note = f"  {upload.note}" if upload.note else ""
            say(f"  {iso(upload.uploaded_at)}  {upload.actor}  {upload.name}{note}")
    return 0


def _told(artifact: Artifact) -> dict[str, object]:
    uploads = [
        {"name": each.name, "actor": each.actor, "note": each.note, "uploaded_at": iso(each.uploaded_at)}
        for each in artifact.uploads.all()
    ]
    return {
        "sha256": artifact.sha256,
        "size_bytes": artifact.size_bytes,
        "media_type": artifact.media_type,
        "stored_at": iso(artifact.stored_at),
        "uploads": uploads,
    }
