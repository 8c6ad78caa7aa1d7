"""The way of each event of the run into the log: its leaf, its batch, the batch's line and its proof.

Leaves of other events in the same batches are there as hashes only.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from uuid import UUID

from autocom.kernel.merkle import inclusion_paths, leaf_hash
from evidence.bundles.errors import NotThere
from evidence.bundles.parts.files import write
from evidence.bundles.run import Run
from evidence.bundles.sealed import SealedRun, sealed_run
from evidence.log.lines import batch_line
from evidence.log.reads import leaf_hashes as hashes_of_log
from ingestion.leaves import NotProved, leaf_hashes, line_of_row, rows_of_batch
from ingestion.models import Batch, DeadLetter, Event
from ingestion.replay.findings import Place

FOLDER = "data/lineage"
PATHS = tuple(f"{FOLDER}/{name}.tsv" for name in ("leaves", "extra", "aliases", "batches", "proofs"))
PLACES = {Place.EVENT: "event", Place.DEAD_LETTER: "dead_letter", Place.QUARANTINE: "quarantine"}
NONE = "-"


def collect(run: Run, into: Path) -> None:
    """Raises NotThere where batches are not sealed, or rows do not lead to their batch's root any more."""
    sealed = sealed_run(run)
    batches = Batch.objects.in_bulk(sorted(sealed.index_by_batch))
    try:
        leaves = "".join(line for number in sorted(batches) for line in _leaves(run, batches[number]))
    except NotProved as error:
        raise NotThere(f"{error}: `manage.py audit verify` says more") from error
    write(into / FOLDER / "leaves.tsv", leaves)
    write(into / FOLDER / "extra.tsv", "".join(sorted(_extra(run))))
    write(
        into / FOLDER / "aliases.tsv",
        "".join(sorted(f"{came}\t{stored}\n" for came, stored in run.stored.aliases.items())),
    )
    by_index = sorted((index, number) for number, index in sealed.index_by_batch.items())
    told = ((index, batch_line(batches[number]).decode()) for index, number in by_index)
    write(into / FOLDER / "batches.tsv", "".join(f"{index}\t{line}\n" for index, line in told))
    write(into / FOLDER / "proofs.tsv", "".join(_proofs(sealed)))


def _leaves(run: Run, batch: Batch) -> Iterator[str]:
    """`batch position hash line` of every leaf of the batch. Raises NotProved."""
    lines = dict(_lines(batch, wanted=_ids(run, batch)))
    for position, hashed in enumerate(leaf_hashes(batch)):
        line = lines.get(hashed)
        yield f"{batch.number}\t{position}\t{hashed.hex()}\t{NONE if line is None else line.decode()}\n"


def _lines(batch: Batch, *, wanted: set[UUID]) -> Iterator[tuple[bytes, bytes]]:
    rows: list[Event | DeadLetter] = [*rows_of_batch(Event, batch), *rows_of_batch(DeadLetter, batch)]
    for row in rows:
        if row.pk in wanted:
            line = line_of_row(row)
            yield leaf_hash(line), line


def _ids(run: Run, batch: Batch) -> set[UUID]:
    return {row.event_id for row in run.stored.rows if row.batch == batch.number}


def _extra(run: Run) -> Iterator[str]:
    for row in run.stored.rows:
        redriven = NONE if row.redriven_from_sequence is None else row.redriven_from_sequence
        yield f"{row.event_id}\t{PLACES[row.place]}\t{redriven}\n"


def _proofs(sealed: SealedRun) -> Iterator[str]:
    indexes = sorted(sealed.index_by_batch.values())
    hashes = hashes_of_log(sealed.incarnation, size=sealed.seal.tree_size)
    for index, path in zip(indexes, inclusion_paths(hashes, positions=indexes), strict=True):
        yield f"{index}\t{','.join(each.hex() for each in path)}\n"
