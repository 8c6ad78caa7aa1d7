"""The first checkpoint that covers the run, and the seals and segments that hold its batches."""

from __future__ import annotations

from pathlib import Path

from autocom.kernel.digest import sha256
from evidence.bundles.errors import NotThere
from evidence.bundles.parts.files import write
from evidence.bundles.run import Run
from evidence.bundles.sealed import SealedRun, sealed_run
from evidence.log.files import segment_text
from evidence.log.reads import checkpoint_note, leaf_lines
from evidence.models import Seal

FOLDER = "data/log"
PATHS = (f"{FOLDER}/checkpoint",)


def collect(run: Run, into: Path) -> None:
    sealed = sealed_run(run)
    for seal in _holding(sealed):
        segment = segment_text(leaf_lines(sealed.incarnation, seal.first_index, seal.tree_size))
        if sha256(segment) != bytes(seal.segment_sha256):
            raise NotThere(f"segment {seal.number} is not the one that was sealed: `manage.py audit verify` says more")
        write(into / FOLDER / "segments" / f"{seal.number:08d}.txt", segment)
        write(into / FOLDER / "seals" / f"{seal.number:08d}.txt", seal.text)
    write(into / FOLDER / "checkpoint", checkpoint_note(sealed.seal))


def _holding(sealed: SealedRun) -> list[Seal]:
    """By number. The last one is that of the checkpoint."""
    seals: dict[int, Seal] = {}
    until = 0
    for index in sorted(sealed.index_by_batch.values()):
        if index >= until:
            seal = Seal.objects.get(incarnation=sealed.incarnation, first_index__lte=index, tree_size__gt=index)
            seals[seal.number], until = seal, seal.tree_size
    return list(seals.values())
