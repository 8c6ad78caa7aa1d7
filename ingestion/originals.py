"""Whether what Redis calls a repetition is one: the event that it names must be stored, under the same identity.

A duplicate leaves its sender with a promise and the lane without an event. Whoever writes Redis's memory of identities
could make a new event one; so the commit asks PostgreSQL before it believes.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

from ingestion.models import AgedEvent, DeadLetter, Event, Lane, QuarantinedEvent, SuppressedDuplicate
from ingestion.receipts import Receipt


@dataclass(frozen=True, slots=True, kw_only=True)
class Repetition:
    """What a duplicate's entry says: its own identity, and the receipt of the event that came first."""

    event_id: UUID
    identity: bytes
    original: Receipt


def unfounded(repetitions: Sequence[Repetition], *, lane: int, beside: Mapping[UUID, bytes]) -> set[UUID]:
    """The event ids of those whose original is stored nowhere, or under another identity. Raises django.db.Error.

    `beside` are the identities of the events in the same batch of that lane: what came first on it is there or settled.
    An original that may still wait on another lane is believed: it cannot be asked for yet.
    """
    open_ = [each for each in repetitions if beside.get(each.original.event_id) != each.identity]
    stored = _known(Event, "pk", {each.original.event_id for each in open_})
    open_ = [each for each in open_ if stored.get(each.original.event_id) != each.identity]
    if not open_:
        return set()
    # the cursors first: an original that is committed between the two questions is then found by the second
    cursors = {lane.number: (lane.epoch, lane.cursor) for lane in Lane.objects.all()}
    known = _identities({each.original.event_id for each in open_})
    return {
        each.event_id
        for each in open_
        if known.get(each.original.event_id) != each.identity
        and (each.original.event_id in known or each.original.lane == lane or not _may_wait(each.original, cursors))
    }


def _may_wait(original: Receipt, cursors: Mapping[int, tuple[int, int]]) -> bool:
    return (original.epoch, original.sequence) > cursors.get(original.lane, (0, 0))


def _identities(event_ids: Collection[UUID]) -> dict[UUID, bytes]:
    """Of whatever became of these events; that of a late duplicate is the identity of its own original."""
    late = dict(SuppressedDuplicate.objects.filter(pk__in=event_ids).values_list("event_id", "original_event_id"))
    wanted = {*event_ids, *late.values()}
    found = _known(Event, "pk", wanted)
    for model in (AgedEvent, DeadLetter, QuarantinedEvent):
        found |= _known(model, "event_id", wanted - found.keys())
    return found | {each: found[original] for each, original in late.items() if original in found}


def _known(
    model: type[Event | AgedEvent | DeadLetter | QuarantinedEvent], key: str, event_ids: Collection[UUID]
) -> dict[UUID, bytes]:
    if not event_ids:
        return {}
    rows = model._default_manager.filter(pk__in=event_ids).values_list(key, "identity")
    return {event_id: bytes(identity) for event_id, identity in rows}
