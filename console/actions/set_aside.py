"""What both acts on letters that were set aside have in common: the bound, and what the audit log keeps of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from uuid import UUID

from autocom.kernel.errors import AutocomError
from console.set_aside.kinds import KINDS
from evidence.audit import Act
from ingestion.redrive.forecast import Forecast
from ingestion.redrive.place import SetAside

ACT_LIMIT_COUNT = 500  # letters in one act: one transaction, one page that a person reads, one audit entry

RETRIED: Mapping[SetAside, Act] = {
    SetAside.DEAD_LETTER: Act.DEAD_LETTER_RETRIED,
    SetAside.QUARANTINE: Act.QUARANTINE_RETRIED,
}
DISCARDED: Mapping[SetAside, Act] = {
    SetAside.DEAD_LETTER: Act.DEAD_LETTER_DISCARDED,
    SetAside.QUARANTINE: Act.QUARANTINE_DISCARDED,
}


class TooMany(AutocomError):
    """More letters than one act takes; nothing was done."""

    code = "too_many_letters"


def subject_of(place: SetAside, event_ids: Sequence[UUID]) -> str:
    """One letter by its id; several by their number, because the entry's facts have the ids."""
    kind = KINDS[place]
    return f"{kind.noun} {event_ids[0]}" if len(event_ids) == 1 else kind.counted(len(event_ids))


def facts_of(done: Sequence[UUID], refused: Sequence[Forecast]) -> dict[str, object]:
    return {
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
