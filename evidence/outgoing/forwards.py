"""Which accepted events a destination is to be sent: read from committed batches, each entered once.

Numbers of a lane's batches are given under the lock of its row, so of one lane they are committed in their order.
"""

from __future__ import annotations

from django.db import transaction
from django.db.models import F

from evidence.mode_standing import ModeStanding, standing
from evidence.models import Destination, ForwardCursor, Outgoing, WithheldCount
from evidence.outgoing.allowed import may_leave, note_refusal
from evidence.outgoing.claims import now
from ingestion.models import Batch, Event, Lane

BATCHES_AT_ONCE_COUNT = 50
WAITING_LIMIT_COUNT = 10_000  # of a destination: the rest stays where it is, behind the cursor


def start_forwarding(destination: Destination) -> None:
    """Events that are committed from now on are forwarded. The caller's transaction."""
    newest = Batch.objects.order_by("-number").values_list("number", flat=True).first() or 0
    for lane in Lane.objects.all():
        ForwardCursor.objects.get_or_create(
            destination=destination, lane=lane.number, defaults={"batch_number": _last_of(lane) or newest}
        )


def enter_forwards() -> int:
    """How many events were entered. May be broken off, and run twice at once."""
    return sum(_enter(destination) for destination in Destination.objects.filter(enabled=True, forwards=True))


def _last_of(lane: Lane) -> int | None:
    of_lane = Batch.objects.filter(lane=lane.number, epoch=lane.epoch).order_by("-last_sequence")
    return of_lane.values_list("number", flat=True).first()


def _enter(destination: Destination) -> int:
    mode = standing()
    note_refusal(destination, mode)
    return sum(_enter_lane(destination, lane, mode) for lane in Lane.objects.all())


def _enter_lane(destination: Destination, lane: Lane, mode: ModeStanding) -> int:
    cursor, _ = ForwardCursor.objects.get_or_create(destination=destination, lane=lane.number)
    if cursor.lane_seen_at == lane.updated_at:  # else an idle lane would be looked for among all batches since
        return 0
    count = 0
    for _ in range(BATCHES_AT_ONCE_COUNT):
        if _is_full(destination):
            return count
        entered = _enter_batch(destination, lane, mode)
        if entered is None:
            break
        count += entered
    return count


def _is_full(destination: Destination) -> bool:
    waiting = Outgoing.objects.filter(destination=destination, state=Outgoing.State.WAITING)
    return waiting.order_by()[:WAITING_LIMIT_COUNT].count() >= WAITING_LIMIT_COUNT


def _enter_batch(destination: Destination, lane: Lane, mode: ModeStanding) -> int | None:
    """The rows, the count and the cursor stand or fall together. None: there is no batch."""
    with transaction.atomic(durable=True):
        cursor = ForwardCursor.objects.select_for_update().get(destination=destination, lane=lane.number)
        later = Batch.objects.filter(lane=lane.number, number__gt=cursor.batch_number)
        batch = later.order_by("number").first()
        if batch is None:
            cursor.lane_seen_at = lane.updated_at
            cursor.save(update_fields=["lane_seen_at"])
            return None
        rows = [_row(destination, event, mode) for event in _of_interest(destination, batch)]
        Outgoing.objects.bulk_create(rows, ignore_conflicts=True)
        _count_withheld(destination, sum(row.state == Outgoing.State.WITHHELD for row in rows))
        cursor.batch_number = batch.number
        cursor.save(update_fields=["batch_number"])
    return len(rows)


def _of_interest(destination: Destination, batch: Batch) -> list[Event]:
    events = Event.objects.defer("payload").filter(
        lane=batch.lane,
        epoch=batch.epoch,
        sequence__range=(batch.first_sequence, batch.last_sequence),
        batch=batch,
    )
    if destination.providers:
        events = events.filter(provider__in=destination.providers)
    if destination.event_types:
        events = events.filter(event_type__in=destination.event_types)
    return list(events.order_by("sequence", "id"))


def _row(destination: Destination, event: Event, mode: ModeStanding) -> Outgoing:
    leaves = may_leave(mode, provider=event.provider, ordering_key=event.ordering_key)
    return Outgoing(
        destination=destination,
        event_id=event.pk,
        provider=event.provider,
        message_id=str(event.pk),
        ordering_key=event.ordering_key,
        state=Outgoing.State.WAITING if leaves else Outgoing.State.WITHHELD,
        error="" if leaves else f"the mode is {mode.mode}, and the event is in no canary",
        next_attempt_at=now(),
        created_at=now(),
        settled_at=None if leaves else now(),
    )


def _count_withheld(destination: Destination, count: int) -> None:
    if count:
        hour = now().replace(minute=0, second=0, microsecond=0)
        WithheldCount.objects.get_or_create(destination=destination, hour=hour)
        WithheldCount.objects.filter(destination=destination, hour=hour).update(count=F("count") + count)
