"""What a retry would come to, as far as can be known now. Reads only."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from uuid import UUID

from ingestion.redrive.place import SetAside


class Fate(StrEnum):
    STORED = "stored"
    OUT_OF_ORDER = "out_of_order"  # stored too, but behind later events of its key
    DUPLICATE = "duplicate"  # the same event is stored under another id: the row is closed, nothing is stored twice
    CONFLICT = "conflict"  # its identity is held by an event with other content
    STILL_FAILS = "still_fails"
    NOT_OPEN = "not_open"  # being sent again, retried or discarded
    UNKNOWN_ID = "unknown_id"


SENT = frozenset({Fate.STORED, Fate.OUT_OF_ORDER, Fate.DUPLICATE})


@dataclass(frozen=True, slots=True, kw_only=True)
class Forecast:
    """`sentence` is for people. `original_event_id` is who holds the identity; `later_sequence` is where the newest
    event of its key is committed that came after it, `later_count` how many such there are (1,000 at most)."""

    event_id: UUID
    fate: Fate
    sentence: str
    original_event_id: UUID | None = None
    later_sequence: int | None = None
    later_count: int = 0

    @property
    def will_be_sent(self) -> bool:
        return self.fate in SENT


def forecasts(place: SetAside, event_ids: Sequence[UUID]) -> list[Forecast]:
    """One for each id, in the order given. A fixed number of queries however many ids.

    What still waits on the lanes is not looked at, nor what only the database would refuse.
    """
    raise NotImplementedError
