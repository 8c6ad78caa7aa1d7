"""Promises against rows and lanes: what of them is kept, what waits, what is broken."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.conf import settings

from autocom.kernel.clock import us_of
from evidence.models import PromiseIncident
from evidence.promises.fates import Kept, kept_promises
from evidence.promises.waiting import still_waiting
from ingestion.buffer.remembered import lane_edges
from ingestion.buffer.store import LaneBuffer
from ingestion.models import DeadLetter
from ingestion.receipts import Receipt
from ingestion.retention.policy import moment_before
from ingestion.riding import id_of_place

NOWHERE = "no table has it and its lane does not hold it"


@dataclass(frozen=True, slots=True)
class Broken:
    """A promise that was not kept, and how so."""

    promise: Receipt
    state: PromiseIncident.State
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    """`kept` and `waiting` by event id. What is in neither and not broken is too old for anybody to tell."""

    kept: Mapping[UUID, Kept]
    waiting: frozenset[UUID]
    broken: Sequence[Broken]


def compare(
    promises: Sequence[Receipt], *, buffer: LaneBuffer, lane_count: int, told_since: datetime | None
) -> Compared:
    """Everything that is due. `told_since`: of absent promises older than this rows may have aged out.

    Raises BufferUnavailable, django.db.Error.
    """
    kept = kept_promises(promises)
    waiting: set[UUID] = set()
    absent = [promise for promise in promises if promise.event_id not in kept]
    if absent:
        waiting = still_waiting(absent, edges=lane_edges(buffer, lane_count=lane_count), buffer=buffer)
        gone = [promise for promise in absent if promise.event_id not in waiting]
        kept |= kept_promises(gone)  # the rows have the last word: it may have been committed between the two looks
        absent = [promise for promise in gone if promise.event_id not in kept]
    told = [p for p in absent if told_since is None or p.accepted_us >= us_of(told_since)]
    return Compared(kept=kept, waiting=frozenset(waiting), broken=[*_missing(told), *_differing(promises, kept)])


def rows_kept_since(now: datetime) -> datetime | None:
    """No row of what was promised since has aged out without a trace; None where none ever does.

    Late duplicates go with the events, letters that somebody settled with the bodies.
    """
    policy = settings.AUTOCOM
    days = (policy.retention_body_days, policy.retention_event_days, policy.retention_identity_days)
    ends = [end for each in days if (end := moment_before(now, days=each))]
    return max(ends, default=None)


def _missing(promises: Sequence[Receipt]) -> list[Broken]:
    if not promises:
        return []
    places = {id_of_place(lane=p.lane, epoch=p.epoch, sequence=p.sequence): p for p in promises}
    there = set(DeadLetter.objects.filter(pk__in=places).values_list("pk", flat=True))
    return [Broken(p, PromiseIncident.State.MISSING, _where_instead(place, there)) for place, p in places.items()]


def _where_instead(place: UUID, there: set[UUID]) -> str:
    if place not in there:
        return NOWHERE
    return f"{NOWHERE}; dead letter {place} stands at its place: its entry was changed in Redis"


def _differing(promises: Sequence[Receipt], kept: Mapping[UUID, Kept]) -> list[Broken]:
    return [
        Broken(promise, PromiseIncident.State.DIFFERS, row.differs)
        for promise in promises
        if (row := kept.get(promise.event_id)) is not None and row.differs
    ]
