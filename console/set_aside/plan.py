"""What an act would do, letter by letter and in sums. Reads only."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from console.set_aside.kinds import KINDS, Letter
from ingestion.models import SetAsideState
from ingestion.redrive.forecast import Fate, forecasts
from ingestion.redrive.place import SetAside

WILL_BE_DISCARDED = "discarded"
RETRY_SUMS = {
    Fate.STORED: "would be stored",
    Fate.OUT_OF_ORDER: "would be stored out of order, after later events of the same key",
    Fate.DUPLICATE: "would be taken for a duplicate: the event is stored already",
    Fate.CONFLICT: "cannot be stored: another event holds the identity",
    Fate.STILL_FAILS: "would fail again",
    Fate.NOT_OPEN: "not open any more",
    Fate.UNKNOWN_ID: "not known here",
}
DISCARD_SUMS = {
    WILL_BE_DISCARDED: "will be discarded",
    Fate.NOT_OPEN: "not open any more",
    Fate.UNKNOWN_ID: "not known here",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Planned:
    """One letter. `fate` is a word for programs, `sentence` for people; `letter` is None where the id is unknown."""

    event_id: UUID
    letter: Letter | None
    is_included: bool
    fate: str
    sentence: str
    original_event_id: UUID | None = None


@dataclass(frozen=True, slots=True)
class Sum:
    """How many letters meet this fate."""

    fate: str
    count: int
    told: str
    is_included: bool


@dataclass(frozen=True, slots=True)
class Plan:
    letters: Sequence[Planned]
    sums: Sequence[Sum]

    @property
    def included(self) -> Sequence[Planned]:
        return [each for each in self.letters if each.is_included]

    @property
    def left_out_count(self) -> int:
        return len(self.letters) - len(self.included)


def retry_plan(place: SetAside, event_ids: Sequence[UUID]) -> Plan:
    """What a retry would do now to each of these letters, in the order given."""
    letters = _letters(place, event_ids)
    planned = [
        Planned(
            event_id=each.event_id,
            letter=letters.get(each.event_id),
            is_included=each.will_be_sent,
            fate=each.fate.value,
            sentence=each.sentence,
            original_event_id=each.original_event_id,
        )
        for each in forecasts(place, event_ids)
    ]
    return Plan(planned, _sums(planned, {fate.value: told for fate, told in RETRY_SUMS.items()}))


def discard_plan(place: SetAside, event_ids: Sequence[UUID]) -> Plan:
    """Which of these letters a discard would close, in the order given."""
    letters = _letters(place, event_ids)
    planned = [_discarded(event_id, letters.get(event_id)) for event_id in event_ids]
    return Plan(planned, _sums(planned, {str(fate): told for fate, told in DISCARD_SUMS.items()}))


def _discarded(event_id: UUID, letter: Letter | None) -> Planned:
    if letter is None:
        fate, sentence = Fate.UNKNOWN_ID.value, "no such letter: it never existed, or retention removed it"
    elif letter.state != SetAsideState.OPEN:
        fate, sentence = Fate.NOT_OPEN.value, f"it is {letter.state} already"
    else:
        fate, sentence = WILL_BE_DISCARDED, "closed for good; its bytes stay readable until retention removes them"
    return Planned(
        event_id=event_id, letter=letter, is_included=fate == WILL_BE_DISCARDED, fate=fate, sentence=sentence
    )


def _letters(place: SetAside, event_ids: Sequence[UUID]) -> dict[UUID, Letter]:
    return {row.pk: row for row in KINDS[place].rows.filter(pk__in=event_ids)}


def _sums(planned: Sequence[Planned], told: dict[str, str]) -> Sequence[Sum]:
    counts = Counter((each.fate, each.is_included) for each in planned)
    order = list(told)
    return [
        Sum(fate, count, told[fate], is_included)
        for (fate, is_included), count in sorted(counts.items(), key=lambda item: order.index(item[0][0]))
    ]
