"""Proofs for those who keep a checkpoint: that an event is in the log, and that the log only ever grew."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from autocom.kernel.merkle import consistency_path, inclusion_path
from evidence.log.errors import NotSealedYet, NotStored
from evidence.log.lines import batch_line
from evidence.log.names import LogName
from evidence.log.reads import checkpoint_note, current_incarnation, first_seal_over, last_of, leaf_hashes
from evidence.models import LogIncarnation, Seal, SealedBatch
from ingestion.leaves import NotProved, leaf_of_row, line_of_row
from ingestion.leaves import leaf_hashes as hashes_of_batch
from ingestion.models import AgedEvent, Batch, DeadLetter, Event, QuarantinedEvent

FORMAT = "autocom-proof/1"
TLOG_FORMAT = "c2sp.org/tlog-proof@v1"


@dataclass(frozen=True, slots=True, kw_only=True)
class EventProof:
    """From the event's line over its batch's root to a signed checkpoint.

    `leaf` is empty for an event that aged out: its hash stands in the batch, its line is nobody's any more.
    """

    leaf: bytes
    leaf_sha256: bytes
    position: int
    leaf_count: int
    path: Sequence[bytes]
    batch_line: bytes
    index: int
    log_path: Sequence[bytes]
    seal: Seal
    checkpoint: str

    @property
    def text(self) -> str:
        """The proof as a file. Its second half is a C2SP tlog-proof of the batch's line."""
        leaf = f"leaf {self.leaf.decode()}" if self.leaf else f"leaf_sha256 {self.leaf_sha256.hex()}"
        lines = [
            FORMAT,
            leaf,
            f"position {self.position}",
            f"leaf_count {self.leaf_count}",
            " ".join(["path", *(each.hex() for each in self.path)]),
            f"batch {self.batch_line.decode()}",
            TLOG_FORMAT,
            f"index {self.index}",
            *(base64.b64encode(each).decode() for each in self.log_path),
        ]
        return "\n".join(lines) + "\n\n" + self.checkpoint


def event_proof(event_id: UUID) -> EventProof:
    """By the first checkpoint that covers it. Raises NotStored, NotSealedYet, and NotProved where rows were changed."""
    batch, leaf, leaf_sha256, position = _place(event_id)
    hashes = hashes_of_batch(batch)
    if position is None:
        position = _position(leaf_sha256, hashes, batch)
    elif not leaf_sha256:
        leaf_sha256 = hashes[position]
    sealed = SealedBatch.objects.filter(pk=batch.pk).select_related("incarnation").first()
    seal = first_seal_over(sealed.incarnation, sealed.index) if sealed else None
    if sealed is None or seal is None:
        raise NotSealedYet(f"batch {batch.number} is committed, and not in the log yet: ask again in a few seconds")
    return EventProof(
        leaf=leaf,
        leaf_sha256=leaf_sha256,
        position=position,
        leaf_count=len(hashes),
        path=inclusion_path(hashes, position=position),
        batch_line=batch_line(batch),
        index=sealed.index,
        log_path=inclusion_path(leaf_hashes(sealed.incarnation, size=seal.tree_size), position=sealed.index),
        seal=seal,
        checkpoint=checkpoint_note(seal),
    )


def consistency(log: LogName, old_size: int, size: int) -> list[bytes]:
    """Between two trees of the current incarnation. Raises IndexError for sizes that it never had."""
    incarnation = current_incarnation(log)
    last = last_of(incarnation) if incarnation else None
    if incarnation is None or last is None or not 0 < old_size <= size <= last.tree_size:
        raise IndexError(f"the log has {last.tree_size if last else 0} leaves: no trees of {old_size} and {size}")
    return consistency_path(leaf_hashes(incarnation, size=size), old_size=old_size)


def incarnation_of(origin: str) -> LogIncarnation | None:
    return LogIncarnation.objects.filter(origin=origin).first()


def _place(event_id: UUID) -> tuple[Batch, bytes, bytes, int | None]:
    """The batch, the line and its hash, and the position where it is known."""
    for model in (Event, DeadLetter, QuarantinedEvent):
        row = model._default_manager.filter(pk=event_id).select_related("batch").first()
        if row is not None:
            return row.batch, line_of_row(row), leaf_of_row(row), None
    aged = AgedEvent.objects.filter(pk=event_id).select_related("batch").first()
    if aged is None:
        raise NotStored(f"no event, dead letter or quarantined event has the id {event_id}")
    return aged.batch, b"", b"", aged.position


def _position(leaf_sha256: bytes, hashes: Sequence[bytes], batch: Batch) -> int:
    try:
        return hashes.index(leaf_sha256)
    except ValueError:
        raise NotProved(f"batch {batch.number} has no leaf of this event: its row was changed") from None
