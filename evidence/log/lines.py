"""The leaves of the logs: one line of text each, without a line end. Everything in a line can be read off its row."""

from __future__ import annotations

from dataclasses import dataclass

from autocom.kernel.clock import us_of
from ingestion.models import Batch

BATCH_VERSION = "acb1"
START_VERSION = "acs1"
NONE = "-"


@dataclass(frozen=True, slots=True, kw_only=True)
class StartLine:
    """The first leaf of an incarnation: which head of which log came before, so that no loss goes unsaid."""

    origin: str
    previous_origin: str = ""
    previous_size: int = 0
    previous_root: bytes = b""
    first_number: int

    @property
    def text(self) -> str:
        """`acs1 origin previous_origin previous_size previous_root first_number`, separated by tabs."""
        before = (self.previous_origin or NONE, str(self.previous_size), self.previous_root.hex() or NONE)
        return "\t".join((START_VERSION, self.origin, *before, str(self.first_number)))


def batch_line(batch: Batch) -> bytes:
    """`acb1 number lane epoch first_sequence last_sequence event_count dead_count quarantined_count duplicate_count
    merkle_root committed_us`, separated by tabs."""
    return (
        f"{BATCH_VERSION}\t{batch.number}\t{batch.lane}\t{batch.epoch}\t{batch.first_sequence}\t{batch.last_sequence}\t"
        f"{batch.event_count}\t{batch.dead_count}\t{batch.quarantined_count}\t{batch.duplicate_count}\t"
        f"{bytes(batch.merkle_root).hex()}\t{us_of(batch.committed_at)}"
    ).encode()
