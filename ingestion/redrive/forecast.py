"""What a retry would come to, as far as can be known now. Reads only."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from uuid import UUID

from ingestion.dead_letters import RECEIPT_MISMATCH
from ingestion.models import DeadLetter, Event, SetAsideFields, SetAsideState
from ingestion.poison import why_unstorable
from ingestion.redrive.later_events import LATER_LIMIT_COUNT, Aside, Later, later_events
from ingestion.redrive.place import SetAside

CHUNK_COUNT = 32  # rows with their payloads in memory at once


class Fate(StrEnum):
    STORED = "stored"
    OUT_OF_ORDER = "out_of_order"  # stored too, but behind later events of its key
    DUPLICATE = "duplicate"  # the same event is stored under another id: the row is closed, nothing is stored twice
    CONFLICT = "conflict"  # its identity is held by an event with other content
    STILL_FAILS = "still_fails"
    NOT_OPEN = "not_open"  # being sent again, retried or discarded
    UNKNOWN_ID = "unknown_id"


SENT = frozenset({Fate.STORED, Fate.OUT_OF_ORDER, Fate.DUPLICATE})
WHY_NOT_OPEN = {
    SetAsideState.RETRYING: "it is being sent again already",
    SetAsideState.RETRIED: "it was retried already",
    SetAsideState.DISCARDED: "it was discarded",
}
NOT_WHOLE = (
    "an id, type or key could not be kept as it was sent, or an earlier version set it aside, which did not keep its "
    "times: a retry would store something else than was sent"
)


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


@dataclass(frozen=True, slots=True, kw_only=True)
class _Row:
    """A row without its payload."""

    state: SetAsideState
    why_failing: str | None
    identity: bytes
    content_sha256: bytes
    aside: Aside


def forecasts(place: SetAside, event_ids: Sequence[UUID]) -> list[Forecast]:
    """One for each id, in the order given. A fixed number of queries however many ids.

    What still waits on the lanes is not looked at, nor what only the database would refuse.
    """
    rows = {
        row.event_id: _read(row)
        for row in place.model.objects.filter(pk__in=set(event_ids)).iterator(chunk_size=CHUNK_COUNT)
    }
    able = [row for row in rows.values() if row.state is SetAsideState.OPEN and row.why_failing is None]
    holders = _holders(able)
    later = later_events([row.aside for row in able])
    return [_forecast(event_id, rows.get(event_id), holders, later) for event_id in event_ids]


def not_open(event_id: UUID, *, state: str | None) -> Forecast:
    """For a row in another state than open, or for none."""
    if state is None:
        return Forecast(event_id=event_id, fate=Fate.UNKNOWN_ID, sentence="nothing with this id stands aside here")
    return Forecast(event_id=event_id, fate=Fate.NOT_OPEN, sentence=WHY_NOT_OPEN[SetAsideState(state)])


def _read(row: SetAsideFields) -> _Row:
    return _Row(
        state=SetAsideState(row.state),
        why_failing=_why_failing(row) if row.state == SetAsideState.OPEN else None,
        identity=bytes(row.identity),
        content_sha256=bytes(row.content_sha256),
        aside=Aside.of(row),
    )


def _why_failing(row: SetAsideFields) -> str | None:
    if isinstance(row, DeadLetter) and row.error_class == RECEIPT_MISMATCH:
        return "its entry was changed in Redis after it was accepted, so these bytes are not what was promised"
    if not row.is_whole:
        return NOT_WHOLE
    return why_unstorable(bytes(row.payload_bytes))


def _holders(rows: Sequence[_Row]) -> dict[bytes, tuple[UUID, bytes]]:
    """Who holds each identity: event id and content digest."""
    held = Event.objects.filter(identity__in=[row.identity for row in rows])
    found = held.values_list("identity", "id", "content_sha256")
    return {bytes(identity): (event_id, bytes(content)) for identity, event_id, content in found}


def _forecast(
    event_id: UUID, row: _Row | None, holders: dict[bytes, tuple[UUID, bytes]], later: dict[UUID, Later]
) -> Forecast:
    if row is None or row.state is not SetAsideState.OPEN:
        return not_open(event_id, state=row.state if row else None)
    if row.why_failing is not None:
        return Forecast(event_id=event_id, fate=Fate.STILL_FAILS, sentence=f"it would fail again: {row.why_failing}")
    if row.identity in holders:
        return _beside(event_id, row, *holders[row.identity])
    if event_id in later:
        return _behind(event_id, row, later[event_id])
    return Forecast(
        event_id=event_id, fate=Fate.STORED, sentence="it would be stored; no later event of its key is committed yet"
    )


def _beside(event_id: UUID, row: _Row, original: UUID, original_content: bytes) -> Forecast:
    if original_content == row.content_sha256:
        fate, sentence = Fate.DUPLICATE, f"the same event is stored as {original}: it would be closed as a duplicate"
    else:
        fate, sentence = Fate.CONFLICT, f"its identity is held by {original}, which has other content"
    return Forecast(event_id=event_id, fate=fate, sentence=sentence, original_event_id=original)


def _behind(event_id: UUID, row: _Row, later: Later) -> Forecast:
    is_cut = later.count >= LATER_LIMIT_COUNT
    told = f"{later.count:,}{' or more' if is_cut else ''} event{'' if later.count == 1 else 's'}"
    return Forecast(
        event_id=event_id,
        fate=Fate.OUT_OF_ORDER,
        sentence=(
            f"it would be stored out of order: {told} of its key "
            f"{'was' if later.count == 1 else 'were'} committed after sequence {row.aside.sequence}, "
            f"the last at sequence {later.sequence}"
        ),
        later_sequence=later.sequence,
        later_count=later.count,
    )
