"""What both acts on letters that were set aside have in common: the bound, and what the audit log keeps of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

from autocom.kernel.errors import AutocomError
from console.set_aside.kinds import KINDS
from evidence.audit import Act
from ingestion.redrive.forecast import Forecast
from ingestion.redrive.place import SetAside

ACT_LIMIT_COUNT = 500  # letters in one act: one transaction, one page that a person reads, one audit entry
ORDER_LIMIT_COUNT = 100_000  # letters in one order, which is carried out act by act

RETRIED: Mapping[SetAside, Act] = {
    SetAside.DEAD_LETTER: Act.DEAD_LETTER_RETRIED,
    SetAside.QUARANTINE: Act.QUARANTINE_RETRIED,
}
DISCARDED: Mapping[SetAside, Act] = {
    SetAside.DEAD_LETTER: Act.DEAD_LETTER_DISCARDED,
    SetAside.QUARANTINE: Act.QUARANTINE_DISCARDED,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """An act that is a part of an order. `counted` is told how many it was done to and how many were refused, in the
    transaction of the act.
    """

    order: int
    counted: Callable[[int, int], None]


class TooMany(AutocomError):
    """More letters than one act takes; nothing was done."""

    code = "too_many_letters"


def order_subject(place: SetAside, number: int) -> str:
    """Of every entry that an order makes: the audit log finds them by it."""
    return f"{KINDS[place].noun}s, order {number}"


def subject_of(place: SetAside, event_ids: Sequence[UUID], part: Part | None = None) -> str:
    """One letter by its id; several by their number, because the entry's facts have the ids; an order by its own."""
    kind = KINDS[place]
    if part is not None:
        return order_subject(place, part.order)
    return f"{kind.noun} {event_ids[0]}" if len(event_ids) == 1 else kind.counted(len(event_ids))


def facts_of(done: Sequence[UUID], refused: Sequence[Forecast], part: Part | None = None) -> dict[str, object]:
    return {
        **({} if part is None else {"order": part.order}),
        "done_count": len(done),
        "done": [str(event_id) for event_id in done],
        "refused_count": len(refused),
        "refused": [
            {"event_id": str(each.event_id), "fate": each.fate.value, "why": each.sentence} for each in refused
        ],
    }


def bounded(event_ids: Sequence[UUID]) -> list[UUID]:
    """Each once, oldest first, so that letters of one ordering key go back in their order. Raises TooMany."""
    once = sorted(set(event_ids))
    if len(once) > ACT_LIMIT_COUNT:
        raise TooMany(f"{len(once)} letters at once are too many: {ACT_LIMIT_COUNT} at most")
    return once
