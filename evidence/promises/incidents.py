"""Broken promises on record: a row each, an audit entry and a log line at ERROR for those of one look."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from django.db import transaction

from autocom.kernel.clock import datetime_of, us_of
from evidence.audit import Act, Actor, record
from evidence.models import AuditEntry, PromiseIncident
from evidence.promises.compare import Broken
from evidence.promises.fates import kept_promises
from evidence.promises.waiting import Gap
from ingestion.receipts import Receipt

CHECKER = Actor.process("promise checker")
OPEN = (PromiseIncident.State.MISSING, PromiseIncident.State.DIFFERS)
NAMED_COUNT = 100  # events in one audit entry; all have their rows
LOOKED_AGAIN_COUNT = 500  # open incidents in one look

log = logging.getLogger(__name__)


def record_broken(broken: Sequence[Broken], *, now: datetime, actor: Actor = CHECKER) -> int:
    """Each has an open incident afterwards; how many are new. Raises django.db.Error, AuditLogBusy."""
    known = dict(
        PromiseIncident.objects.filter(pk__in=[each.promise.event_id for each in broken]).values_list("pk", "state")
    )
    new = [each for each in broken if known.get(each.promise.event_id) != each.state]
    if not new:
        return 0
    with transaction.atomic():
        PromiseIncident.objects.bulk_create(
            [_row(each, now=now) for each in new],
            update_conflicts=True,
            unique_fields=["event_id"],
            update_fields=["state", "detail", "found_at", "settled_at"],
        )
        facts = {
            "count": len(new),
            "events": [
                {"event_id": str(each.promise.event_id), "state": each.state.value, "detail": each.detail}
                for each in new[:NAMED_COUNT]
            ],
        }
        record(Act.PROMISE_BROKEN, actor=actor, subject=_subject([b.promise.event_id for b in new]), facts=facts)
    named = [str(each.promise.event_id) for each in new[:NAMED_COUNT]]
    log.error("promises_broken", extra={"count": len(new), "event_ids": named, "first": new[0].detail})
    return len(new)


def record_gaps(gaps: Sequence[Gap]) -> int:
    """Each has its audit entry afterwards; how many are new. Raises django.db.Error, AuditLogBusy."""
    subjects = {gap.subject: gap for gap in gaps}
    known = AuditEntry.objects.filter(subject__in=subjects, act=Act.PROMISE_BROKEN.value)
    for subject in known.values_list("subject", flat=True):
        subjects.pop(subject, None)
    for subject, gap in subjects.items():
        with transaction.atomic():
            record(Act.PROMISE_BROKEN, actor=CHECKER, subject=subject, facts={"count": gap.count})
        log.error("lane_gap", extra={"lane": gap.lane, "epoch": gap.epoch, "gap": subject, "count": gap.count})
    return len(subjects)


def settle_kept_late(*, after: UUID, now: datetime) -> UUID:
    """Of the open incidents behind this id, those whose event is there after all are KEPT_LATE, with an audit entry.

    The id to go on from; zero at the end. Raises django.db.Error, AuditLogBusy.
    """
    looked_at = list(PromiseIncident.objects.filter(state__in=OPEN, pk__gt=after).order_by("pk")[:LOOKED_AGAIN_COUNT])
    kept = kept_promises([promise_of(incident) for incident in looked_at])
    settled = [row.pk for row in looked_at if row.pk in kept and not kept[row.pk].differs]
    if settled:
        with transaction.atomic():
            PromiseIncident.objects.filter(pk__in=settled).update(state=PromiseIncident.State.KEPT_LATE, settled_at=now)
            facts = {"count": len(settled), "event_ids": [str(each) for each in settled[:NAMED_COUNT]]}
            record(Act.PROMISE_KEPT_LATE, actor=CHECKER, subject=_subject(settled), facts=facts)
        log.warning("promises_kept_late", extra={"count": len(settled)})
    return looked_at[-1].pk if len(looked_at) == LOOKED_AGAIN_COUNT else UUID(int=0)


def open_incident_count() -> int:
    """Raises django.db.Error."""
    return PromiseIncident.objects.filter(state__in=OPEN).count()


def promise_of(incident: PromiseIncident) -> Receipt:
    return Receipt(
        event_id=incident.event_id,
        lane=incident.lane,
        epoch=incident.epoch,
        sequence=incident.sequence,
        body_sha256=bytes(incident.body_sha256),
        accepted_us=us_of(incident.accepted_at),
        key_id="",
    )


def _row(broken: Broken, *, now: datetime) -> PromiseIncident:
    promise = broken.promise
    return PromiseIncident(
        event_id=promise.event_id,
        lane=promise.lane,
        epoch=promise.epoch,
        sequence=promise.sequence,
        body_sha256=promise.body_sha256,
        accepted_at=datetime_of(us=promise.accepted_us),
        state=broken.state,
        detail=broken.detail,
        found_at=now,
        settled_at=None,
    )


def _subject(event_ids: Sequence[UUID]) -> str:
    return f"event {event_ids[0]}" if len(event_ids) == 1 else f"{len(event_ids)} promised events"
