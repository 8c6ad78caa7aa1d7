"""What Redis still knows of its promises: the receipts behind remembered identities, and what the lanes hold.

Reads alone, in small ranges: whoever compares promises must not slow the next one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ingestion.buffer import keys
from ingestion.buffer.append import original_receipt
from ingestion.buffer.store import LaneBuffer
from ingestion.receipts import Receipt

PAGE_COUNT = 64  # identities asked for at once: Redis is held for about 0.2 ms
HELD_COUNT = 64  # entries looked for at once: each may be a megabyte


@dataclass(frozen=True, slots=True, kw_only=True)
class RememberedPage:
    """Identities in the order in which they were promised, by their number since the list began.

    A receipt is None where the identity is known and its record is not any more: its window has passed, or somebody
    took it away.
    """

    oldest: int
    end: int
    first: int
    identities: Sequence[bytes]
    receipts: Sequence[Receipt | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class LaneEdges:
    """A lane at one moment. Sequences are 0 where nothing waits."""

    lane: int
    epoch: int
    sequence: int
    entry_count: int
    first_sequence: int
    last_sequence: int
    first_accepted_us: int

    @property
    def is_dense(self) -> bool:
        """Each sequence from the first to the last has its entry."""
        return self.entry_count == self.last_sequence - self.first_sequence + 1


def remembered_page(buffer: LaneBuffer, *, first: int, limit_count: int = PAGE_COUNT) -> RememberedPage:
    """From this number on, or from the oldest that is left. Raises BufferUnavailable."""
    oldest, end, start, identities, values = buffer.run_script(
        "remembered", [keys.SEEN_ORDER, keys.SEEN_DROPPED], [first, limit_count, keys.seen(b"")]
    )
    return RememberedPage(
        oldest=oldest, end=end, first=start, identities=identities, receipts=[_receipt(value) for value in values]
    )


def lane_edges(buffer: LaneBuffer, *, lane_count: int) -> Sequence[LaneEdges]:
    """Of every lane. Raises BufferUnavailable."""
    wanted = [key for lane in range(lane_count) for key in (keys.stream(lane), keys.state(lane))]
    return [
        LaneEdges(
            lane=lane,
            epoch=epoch,
            sequence=sequence,
            entry_count=entry_count,
            first_sequence=first,
            last_sequence=last,
            first_accepted_us=accepted_us,
        )
        for lane, (epoch, sequence, entry_count, first, last, accepted_us) in enumerate(
            buffer.run_script("edges", wanted, [])
        )
    ]


def held_sequences(buffer: LaneBuffer, *, lane: int, sequences: Sequence[int]) -> set[int]:
    """Those whose entry is on the lane. Raises BufferUnavailable."""
    held: set[int] = set()
    for at in range(0, len(sequences), HELD_COUNT):
        asked = sequences[at : at + HELD_COUNT]
        answer = buffer.run_script("holds", [keys.stream(lane)], asked)
        held |= {sequence for sequence, is_there in zip(asked, answer, strict=True) if is_there}
    return held


def _receipt(value: bytes | None) -> Receipt | None:
    """None for a record that append.lua did not write so."""
    try:
        return None if value is None else original_receipt(value)
    except ValueError:
        return None
