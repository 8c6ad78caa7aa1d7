"""Puts what is RETRYING on its lane. Sending twice is harmless: the commit wants each attempt once."""

from __future__ import annotations

import logging
import secrets
from collections.abc import Iterable, Iterator, Sequence
from datetime import timedelta
from functools import partial
from itertools import batched
from uuid import UUID

from django.db import Error, transaction

from autocom.kernel import json_text
from autocom.kernel.clock import SYSTEM_CLOCK, datetime_of, us_of
from autocom.kernel.digest import sha256
from ingestion.accept import append_limits, lane_count, promise_keys
from ingestion.buffer.append import EntryKind
from ingestion.buffer.hop import entry_mac
from ingestion.buffer.store import BufferUnavailable, LaneBuffer, LanePlace, lane_buffer
from ingestion.lanes import lane_of
from ingestion.models import Lane, SetAsideAttempt, SetAsideFields, SetAsideState
from ingestion.redrive.place import SetAside
from ingestion.redrive.ticket import Ticket

CHUNK_COUNT = 32  # rows with their payloads in memory at once
STRANDED_AFTER = timedelta(seconds=5)  # before that the process that asked is probably still sending
SWEEP_LIMIT_COUNT = 500

type Reach = tuple[int, int]  # epoch and sequence

log = logging.getLogger(__name__)


def send_on_commit(place: SetAside, event_ids: Sequence[UUID]) -> None:
    """Sends once the transaction is committed. What cannot be sent then, the sweep sends."""
    transaction.on_commit(partial(_send_now, place, event_ids))


def send(place: SetAside, event_ids: Iterable[UUID], *, buffer: LaneBuffer) -> int:
    """How many are on their lanes now, in the order they were accepted in. Raises BufferUnavailable.

    A full lane refuses: the row is open again and its attempt says `lane_full`.
    """
    return sum(_put(place, row, buffer=buffer) for row in _rows_in_order(place, event_ids))


def send_stranded(*, buffer: LaneBuffer) -> int:
    """Sends again what is RETRYING and on no lane, whatever became of who asked. Raises BufferUnavailable."""
    stranded = list(_stranded(buffer))
    sent_count = 0
    for place in SetAside:
        ids = [attempt.event_id for attempt in stranded if attempt.place == place.value]
        sent_count += send(place, ids, buffer=buffer)
    if stranded:
        log.info("retries_sent_again", extra={"stranded": len(stranded), "sent": sent_count})
    return sent_count


def _send_now(place: SetAside, event_ids: Sequence[UUID]) -> None:
    try:
        sent_count = send(place, event_ids, buffer=lane_buffer())
        log.info("retries_sent", extra={"place": place.value, "asked": len(event_ids), "sent": sent_count})
    except (BufferUnavailable, Error) as error:
        log.warning("retries_wait_for_the_sweep", extra={"place": place.value, "error": str(error)})


def _rows_in_order(place: SetAside, event_ids: Iterable[UUID]) -> Iterator[SetAsideFields]:
    retrying = place.model.objects.filter(state=SetAsideState.RETRYING).order_by("accepted_at", "sequence")
    in_order = list(retrying.filter(pk__in=list(event_ids)).values_list("pk", flat=True))
    for chunk in batched(in_order, CHUNK_COUNT):
        yield from retrying.filter(pk__in=chunk)


def _put(place: SetAside, row: SetAsideFields, *, buffer: LaneBuffer) -> bool:
    lane = lane_of(provider=row.provider, ordering_key=row.ordering_key, lane_count=lane_count())
    meta, payload = _meta(place, row), bytes(row.payload_bytes)
    found = buffer.append_again(
        lane,
        meta=meta,
        payload=payload,
        mac=entry_mac(
            promise_keys().hop,
            kind=EntryKind.REDRIVEN.value,
            lane=lane,
            meta=meta,
            payload_sha256=sha256(payload),
        ),
        limits=append_limits(),
        job_id=f"retry-{lane}-{secrets.token_hex(8)}".encode(),
    )
    if found is None:
        _refuse(place, row, lane=lane)
        return False
    _note(place, row, found)
    return True


def _meta(place: SetAside, row: SetAsideFields) -> bytes:
    """As `identify.event_to_append` wrote it, and the ticket. No headers: the delivery is kept already."""
    asked_at = row.state_at or row.accepted_at
    ticket = Ticket(place=place, number=row.attempt_count, asked_us=us_of(asked_at), from_sequence=row.sequence)
    return json_text.dumps(
        {
            "id": row.event_id.hex,
            "provider": row.provider,
            "message_id": row.message_id,
            "type": row.event_type,
            "key": row.ordering_key,
            "identity": bytes(row.identity).hex(),
            "recipe": row.recipe,
            "body": bytes(row.body_sha256).hex(),
            "content": bytes(row.content_sha256).hex(),
            "received_us": us_of(row.received_at),
            "occurred_us": None if row.occurred_at is None else us_of(row.occurred_at),
            "kind": row.kind,
            "redrive": ticket.as_json(),
        }
    )


def _note(place: SetAside, row: SetAsideFields, found: LanePlace) -> None:
    attempts = SetAsideAttempt.objects.filter(place=place, event_id=row.event_id, number=row.attempt_count)
    attempts.filter(outcome=SetAsideAttempt.Outcome.UNDER_WAY).update(
        lane=found.lane, epoch=found.epoch, sequence=found.sequence
    )


def _refuse(place: SetAside, row: SetAsideFields, *, lane: int) -> None:
    """Open again, unless somebody else has put this attempt on the lane meanwhile."""
    now = datetime_of(us=SYSTEM_CLOCK.now_us())
    with transaction.atomic():
        retrying = place.model.objects.filter(
            pk=row.event_id, state=SetAsideState.RETRYING, attempt_count=row.attempt_count
        )
        retrying.select_for_update().first()  # the row before its attempt: everybody locks in this order
        attempts = SetAsideAttempt.objects.filter(place=place, event_id=row.event_id, number=row.attempt_count)
        refused_count = attempts.filter(outcome=SetAsideAttempt.Outcome.UNDER_WAY, sequence=None).update(
            outcome=SetAsideAttempt.Outcome.LANE_FULL,
            settled_at=now,
            error_class="lane_full",
            error=f"lane {lane} holds as many entries as it may: ask again when it has drained",
        )
        if refused_count:
            retrying.update(state=SetAsideState.OPEN, state_at=now)


def _stranded(buffer: LaneBuffer) -> Iterator[SetAsideAttempt]:
    # the cursors before the attempts: a commit between the two then looks like one that is still to come
    cursors = {lane.number: (lane.epoch, lane.cursor) for lane in Lane.objects.all()}
    before = datetime_of(us=SYSTEM_CLOCK.now_us()) - STRANDED_AFTER
    under_way = SetAsideAttempt.objects.filter(outcome=SetAsideAttempt.Outcome.UNDER_WAY, asked_at__lt=before)
    reaches: dict[int, Reach] = {}
    for attempt in under_way.order_by("pk")[:SWEEP_LIMIT_COUNT]:
        lane = attempt.lane
        if lane is None or attempt.epoch is None or attempt.sequence is None:
            yield attempt
            continue
        if lane not in reaches:
            reaches[lane] = buffer.reach(lane)
        if not _waits((attempt.epoch, attempt.sequence), cursor=cursors.get(lane, (0, 0)), reach=reaches[lane]):
            yield attempt


def _waits(entry: Reach, *, cursor: Reach, reach: Reach) -> bool:
    """False where the lane has passed the entry without settling it, or Redis has lost it."""
    return entry > cursor and entry[0] == reach[0] and entry[1] <= reach[1]
