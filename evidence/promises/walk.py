"""Goes through the promises that Redis remembers, in their order: the new ones once they are due, then round and round.

A place in the list is a number that never changes (how many left the old end is counted), with the identity before it
as an anchor: where that is another, somebody changed the list, and the walk begins at its oldest again.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import timedelta

from ingestion.accept import DEDUPE_MARGIN
from ingestion.buffer import keys
from ingestion.buffer.remembered import PAGE_COUNT, RememberedPage, remembered_page
from ingestion.buffer.store import LaneBuffer
from ingestion.receipts import Receipt

KEPT_FOR_US = DEDUPE_MARGIN // timedelta(
    microseconds=1
)  # every record outlives this: one that is gone sooner was taken

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Everything before `number` was read. `anchor` is the identity just before it, in hex, empty at the start;
    `accepted_us` the time of the last promise before it, 0 while none is known."""

    number: int = 0
    anchor: str = "-"
    accepted_us: int = 0

    @classmethod
    def read(cls, text: str) -> Place:
        """The start, for a text that is no place."""
        words = text.split(" ")
        if len(words) != 3 or not (words[0].isdecimal() and words[2].isdecimal()):
            return cls()
        return cls(number=int(words[0]), anchor=words[1], accepted_us=int(words[2]))

    def __str__(self) -> str:
        return f"{self.number} {self.anchor} {self.accepted_us}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Places:
    """Where the walks stand. `again` is where the promises begin that were found waiting: they are read once more."""

    due: Place = Place()
    again: Place | None = None
    round: Place = Place()

    @classmethod
    def kept(cls, buffer: LaneBuffer) -> Places:
        """Raises BufferUnavailable."""
        fields = buffer.fields(keys.PROMISES)
        again = fields.get("place_again", "")
        return cls(
            due=Place.read(fields.get("place_due", "")),
            again=Place.read(again) if again else None,
            round=Place.read(fields.get("place_round", "")),
        )

    def keep(self, buffer: LaneBuffer) -> None:
        """Raises BufferUnavailable."""
        again = "" if self.again is None else str(self.again)
        fields = {"place_due": str(self.due), "place_again": again, "place_round": str(self.round)}
        buffer.set_fields(keys.PROMISES, fields)


@dataclass(frozen=True, slots=True, kw_only=True)
class Stretch:
    """Promises that were read in one step, and the place after them.

    `unread_count`: promises that nobody can read any more, as Redis forgot them or somebody took their record away.
    `behind_count`: identities behind the place, due or not. `is_end`: what follows is not due, or there is nothing.
    """

    after: Place
    promises: Sequence[Receipt]
    unread_count: int
    behind_count: int
    is_end: bool


def next_stretch(buffer: LaneBuffer, place: Place, *, due_us: int) -> Stretch:
    """The promises from the place on that were made by `due_us`, a page at most. Raises BufferUnavailable."""
    page = _page_at(buffer, place)
    if page is None:
        log.warning("remembered_list_changed", extra={"number": place.number})
        place = Place()
        page = remembered_page(buffer, first=0)
    accepted_us = place.accepted_us
    unread_count = page.first - place.number if accepted_us else 0
    promises: list[Receipt] = []
    read_count = 0
    for receipt in page.receipts:
        if receipt is not None and receipt.accepted_us > due_us:
            break
        if receipt is not None:
            promises.append(receipt)
            accepted_us = receipt.accepted_us
        elif accepted_us > due_us - KEPT_FOR_US:
            unread_count += 1
        read_count += 1
    after = Place(
        number=page.first + read_count,
        anchor=page.identities[read_count - 1].hex() if read_count else place.anchor,
        accepted_us=accepted_us,
    )
    return Stretch(
        after=after,
        promises=promises,
        unread_count=unread_count,
        behind_count=page.end - after.number,
        is_end=read_count < len(page.receipts) or after.number == page.end,
    )


def _page_at(buffer: LaneBuffer, place: Place) -> RememberedPage | None:
    """The page that begins at the place, or later where Redis forgot it; None where it is no place of this list."""
    if not place.number:
        return remembered_page(buffer, first=0)
    page = remembered_page(buffer, first=place.number - 1, limit_count=PAGE_COUNT + 1)
    if page.first >= place.number:
        return page
    if not page.identities or page.identities[0].hex() != place.anchor:
        return None
    return replace(page, first=place.number, identities=page.identities[1:], receipts=page.receipts[1:])
