"""What is known of one event's way, as steps with times. Pure: rows and lane entries in, traces out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from uuid import UUID

from autocom.kernel.clock import datetime_of
from autocom.kernel.ids import request_id_of
from ingestion.buffer.append import EntryKind, LaneEntry, original_receipt
from ingestion.buffer.store import LanePeek
from ingestion.models import (
    AgedEvent,
    Batch,
    DeadLetter,
    Event,
    EventFields,
    QuarantinedEvent,
    SetAsideFields,
    SetAsideState,
    SuppressedDuplicate,
)
from ingestion.personal import marked_by
from ingestion.riding import Riding

type Time = tuple[str, datetime, str]  # name, when, what

NO_TRACE = "no trace: it was never accepted here, or retention removed it"


class Fate(StrEnum):
    STORED = "stored"
    DUPLICATE = "duplicate"
    QUARANTINED = "quarantined"
    DEAD_LETTER = "dead_letter"
    AGED = "aged"
    WAITING = "waiting"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One step of the way.

    `took` is the time since the step before; below zero only where two machines' clocks disagree.
    """

    name: str
    at: datetime
    took: timedelta | None
    what: str


@dataclass(frozen=True, slots=True, kw_only=True)
class EventTrace:
    """One event: what became of it, and how it came there. Texts are empty and places None where nothing is known.

    What names a recipient is masked: whoever asks is told no personal data.
    """

    event_id: UUID
    fate: Fate
    what: str
    provider: str = ""
    message_id: str = ""
    event_type: str = ""
    ordering_key: str = ""
    original_event_id: UUID | None = None
    lane: int | None = None
    epoch: int | None = None
    sequence: int | None = None
    batch: int | None = None
    worker: str = ""
    steps: tuple[Step, ...] = ()

    @property
    def request_id(self) -> UUID:
        return request_id_of(self.event_id)


def steps(times: Sequence[Time]) -> tuple[Step, ...]:
    """Steps from names, times and words, each with the time since the one before."""
    before = [None, *(at for _, at, _ in times)]
    return tuple(
        Step(name=name, at=at, took=None if earlier is None else at - earlier, what=what)
        for (name, at, what), earlier in zip(times, before, strict=False)
    )


def of_event(row: Event, *, repeats_count: int, first: DeadLetter | QuarantinedEvent | None = None) -> EventTrace:
    """`first` is where it stood aside before, of an event that a retry stored: its steps have both lives."""
    again = f"; came again {counted(repeats_count, 'time')}" if repeats_count else ""
    retried = f" by a retry, accepted first at sequence {row.redriven_from_sequence}" if row.redriven_at else ""
    what = f"stored in batch {row.batch_id}{retried}{again}"
    trace = _committed(row, event_id=row.id, batch=row.batch, fate=Fate.STORED, what=what)
    return replace(trace, steps=_both_lives(row, row.redriven_at, first)) if row.redriven_at else trace


def of_aged(row: AgedEvent) -> EventTrace:
    """Its own times went with its row; those of its batch are kept."""
    what = (
        f"aged out on {row.aged_at:%Y-%m-%d}: its words are gone; its identity, and its leaf as number {row.position}"
        f" of batch {row.batch_id}, are kept"
    )
    place = f"lane {row.lane}, epoch {row.epoch}, sequence {row.sequence}"
    return EventTrace(
        event_id=row.event_id,
        fate=Fate.AGED,
        what=what,
        provider=row.provider,
        lane=row.lane,
        epoch=row.epoch,
        sequence=row.sequence,
        batch=row.batch_id,
        worker=row.batch.worker,
        steps=steps(
            [
                ("claimed", row.batch.claimed_at, f"{place}, by {row.batch.worker} for batch {row.batch_id}"),
                ("committed", row.batch.committed_at, f"fence {row.batch.fence}"),
                ("aged out", row.aged_at, "by retention"),
            ]
        ),
    )


def of_dead_letter(row: DeadLetter) -> EventTrace:
    error = marked_by(row.recipe).error(row.error)
    what = f"dead letter ({row.state}): {row.error_class}: {error}"
    return _aside(row, batch=row.batch, fate=Fate.DEAD_LETTER, what=what)


def of_quarantined(row: QuarantinedEvent) -> EventTrace:
    original = row.original_event_id
    state = "" if row.state == SetAsideState.OPEN else f" ({row.state})"
    what = (
        f"quarantined{state}: the identity of {original or 'an event that is gone'} with other content; both are kept"
    )
    trace = _aside(row, batch=row.batch, fate=Fate.QUARANTINED, what=what)
    return replace(trace, original_event_id=original)


def of_duplicate(row: SuppressedDuplicate) -> EventTrace:
    how = "found by PostgreSQL after Redis's window" if row.late else "answered with the original's receipt"
    return EventTrace(
        event_id=row.event_id,
        fate=Fate.DUPLICATE,
        what=f"duplicate of {row.original_event_id}: {how}, nothing was stored for it",
        provider=row.provider,
        message_id=row.message_id,
        event_type=row.event_type,
        original_event_id=row.original_event_id,
        steps=steps([_received(row.received_at)]),
    )


def of_entry(entry: LaneEntry, riding: Riding, *, peek: LanePeek) -> EventTrace:
    """Of an entry that is on its lane still."""
    is_first = entry.kind in (EntryKind.EVENT, EntryKind.REDRIVEN)
    original = None if is_first else original_receipt(entry.seen).event_id
    place = f"lane {riding.lane}, epoch {riding.epoch}, sequence {entry.sequence}"
    match entry.kind:
        case EntryKind.EVENT:
            fate, what = Fate.WAITING, f"waiting on {place}: {_why_waiting(peek)}"
        case EntryKind.REDRIVEN:
            fate, what = Fate.WAITING, f"sent again by a retry, waiting on {place}: {_why_waiting(peek)}"
        case EntryKind.DUPLICATE:
            fate, what = Fate.DUPLICATE, f"duplicate of {original}; the note of it waits on {place}"
        case EntryKind.QUARANTINED:
            fate, what = (
                Fate.QUARANTINED,
                f"quarantined: the identity of {original} with other content; waits on {place}",
            )
    return EventTrace(
        event_id=riding.event_id,
        fate=fate,
        what=what,
        provider=riding.provider,
        message_id=riding.message_id,
        event_type=riding.event_type,
        ordering_key=marked_by(riding.recipe).ordering_key(riding.ordering_key),
        original_event_id=original,
        lane=riding.lane,
        epoch=riding.epoch,
        sequence=entry.sequence,
        steps=steps(
            [
                _received(datetime_of(us=riding.received_us)),
                ("accepted", datetime_of(us=entry.accepted_us), f"{place}, by Redis's clock"),
            ]
        ),
    )


def untraced(event_id: UUID) -> EventTrace:
    return EventTrace(event_id=event_id, fate=Fate.UNKNOWN, what=NO_TRACE)


def _aside(row: SetAsideFields, *, batch: Batch, fate: Fate, what: str) -> EventTrace:
    """With what became of it since, where somebody acted."""
    trace = _committed(row, event_id=row.event_id, batch=batch, fate=fate, what=what)
    if row.state_at is None:
        return trace
    since = {
        SetAsideState.OPEN: f"open again after attempt {row.attempt_count}",
        SetAsideState.RETRYING: f"sent again as attempt {row.attempt_count}",
        SetAsideState.RETRIED: f"settled by attempt {row.attempt_count}",
        SetAsideState.DISCARDED: f"discarded: {row.discard_reason}",
    }[SetAsideState(row.state)]
    way = [(step.name, step.at, step.what) for step in trace.steps]
    return replace(trace, steps=steps([*way, (row.state, row.state_at, since)]))


def _both_lives(row: Event, asked_at: datetime, first: DeadLetter | QuarantinedEvent | None) -> tuple[Step, ...]:
    way = [_received(row.received_at)]
    if first is not None:
        accepted, claimed, (_, set_aside_at, _) = _way(first, first.batch)
        where = "to the dead letters" if isinstance(first, DeadLetter) else "in quarantine"
        way += [accepted, claimed, ("set aside", set_aside_at, f"{where} in batch {first.batch_id}")]
    way.append(("retry asked", asked_at, f"it was accepted first at sequence {row.redriven_from_sequence}"))
    return steps([*way, *_way(row, row.batch)])


def _committed(row: EventFields, *, event_id: UUID, batch: Batch, fate: Fate, what: str) -> EventTrace:
    return EventTrace(
        event_id=event_id,
        fate=fate,
        what=what,
        provider=row.provider,
        message_id=row.message_id,
        event_type=row.event_type,
        ordering_key=marked_by(row.recipe).ordering_key(row.ordering_key),
        lane=row.lane,
        epoch=row.epoch,
        sequence=row.sequence,
        batch=batch.number,
        worker=batch.worker,
        steps=steps([_received(row.received_at), *_way(row, batch)]),
    )


def _way(row: EventFields, batch: Batch) -> tuple[Time, Time, Time]:
    """From the lane to the commit."""
    place = f"lane {row.lane}, epoch {row.epoch}, sequence {row.sequence}"
    return (
        ("accepted", row.accepted_at, f"{place}, by Redis's clock"),
        ("claimed", batch.claimed_at, f"by {batch.worker} for batch {batch.number}"),
        ("committed", batch.committed_at, f"{counted(batch.event_count, 'event')} in the batch, fence {batch.fence}"),
    )


def counted(count: int, thing: str) -> str:
    return f"{count} {thing}{'' if count == 1 else 's'}"


def _received(at: datetime) -> Time:
    return "received", at, "first byte at the ingress"


def _why_waiting(peek: LanePeek) -> str:
    if peek.attempt:
        until = f" until {datetime_of(us=peek.retry_at_us):%H:%M:%S} UTC" if peek.retry_at_us is not None else ""
        return f"the lane rests{until} after attempt {peek.attempt}: {peek.error_line}"
    holder = peek.holder.partition("@")[2]
    if holder:
        return f"{holder} is at work on the lane"
    return "its drain job is due" if peek.is_due else "nobody is at work on the lane; the sweeper will ring"
