"""The way of a delivery or an event, whoever asks: by event id, by request id or by the sender's message id.

Rows are asked first, then the lanes for what is not committed yet, then the rows once more for what was committed
meanwhile. A source that cannot
be asked is named, so that "no trace" is never said of an event that may be there.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import ClassVar
from uuid import UUID

from django.db import Error, connection
from django.db.models import Count, Q

from autocom.kernel.errors import AutocomError
from autocom.kernel.ids import event_id, last_event_id_of, request_id_of
from ingestion import traces
from ingestion.aged import body_aged_at
from ingestion.buffer.append import LaneEntry
from ingestion.buffer.store import BufferUnavailable, LaneBuffer
from ingestion.identify import short
from ingestion.models import AgedEvent, DeadLetter, Delivery, Event, QuarantinedEvent, SuppressedDuplicate
from ingestion.proof import stored_headers
from ingestion.providers.adapter import SENDER_TRACE
from ingestion.riding import Riding, read_riding
from ingestion.traces import EventTrace, Fate

ID_LIMIT_CHARS = 4_096
DELIVERIES_LIMIT_COUNT = 20  # the newest deliveries with a message id
SCAN_LIMIT_COUNT = 50_000  # entries looked at on each lane
SCAN_SLICE_BYTES = 4_000_000
NO_TEXT = ("Cc", "Cs")  # control characters and lone surrogates: PostgreSQL and terminals choke on them

type Wanted = Callable[[Riding], bool]


class IdInvalid(AutocomError):
    """The text can be no id; the message says why."""

    code: ClassVar[str] = "id_invalid"


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliveryTrace:
    """One POST and its events, in their order.

    `event_count` and `received_at` are None while only its lane knows of it, and once its body and headers have aged
    out (`body_aged_at`). Its trace has the request id's 128 bits.
    """

    request_id: UUID
    provider: str
    received_at: datetime | None
    event_count: int | None
    body_aged_at: datetime | None
    sender_trace: str  # what the sender calls its own span, as a W3C traceparent; empty where it told none
    events: tuple[EventTrace, ...]


@dataclass(slots=True, kw_only=True)
class Lineage:
    """The answer. `asked` are the events that the question meant; `gaps` says what could not be looked at."""

    deliveries: list[DeliveryTrace] = field(default_factory=list)
    asked: set[UUID] = field(default_factory=set)
    gaps: list[str] = field(default_factory=list)

    @property
    def is_found(self) -> bool:
        return any(e.event_id in self.asked and e.fate is not Fate.UNKNOWN for d in self.deliveries for e in d.events)


def lineage_of(text: str, *, buffer: LaneBuffer, lane_count: int) -> Lineage:
    """All that is known of the event, the delivery or the message with this id. Raises IdInvalid."""
    identifier, message_id = read_id(text)
    lineage = Lineage()
    requests = _requests_in_rows(identifier, message_id, lineage)
    found = _traces_in_rows(requests, lineage)
    if _may_wait(identifier, requests, found):
        wanted = _wanted(requests | ({request_id_of(identifier)} if identifier else set()), message_id)
        waiting = {
            t.event_id: t for t in _traces_on_lanes(wanted, buffer=buffer, lane_count=lane_count, lineage=lineage)
        }
        requests |= {trace.request_id for trace in waiting.values()}
        # the rows have the last word: an event may have been committed and trimmed between the two looks
        found = waiting | _traces_in_rows(requests | _requests_in_rows(identifier, message_id, lineage), lineage)
    lineage.deliveries = _deliveries({trace.request_id for trace in found.values()} | requests, found, lineage)
    lineage.asked = set(_asked(identifier, message_id, lineage.deliveries))
    return lineage


def read_id(text: str) -> tuple[UUID | None, str]:
    """The id as a UUID, if it is one, and as a message id, cut as it is stored. Raises IdInvalid."""
    text = text.strip()
    if not text:
        raise IdInvalid("an id is needed: an event id, a request id, or the message id that the sender gave")
    if len(text) > ID_LIMIT_CHARS:
        raise IdInvalid(f"an id has {ID_LIMIT_CHARS} characters at most, this has {len(text)}")
    if any(unicodedata.category(character) in NO_TEXT for character in text):
        raise IdInvalid("an id has no control characters and is valid Unicode")
    try:
        return UUID(text), short(text)
    except ValueError:
        return None, short(text)


def _requests_in_rows(identifier: UUID | None, message_id: str, lineage: Lineage) -> set[UUID]:
    """The newest deliveries that the rows know of under this id."""
    try:
        originals = list(_ids_with(message_id))
        again = SuppressedDuplicate.objects.filter(original_event_id__in=originals).order_by("-pk")
        ids = {*originals, *again.values_list("pk", flat=True)[:DELIVERIES_LIMIT_COUNT]}
        requests = sorted({request_id_of(each) for each in ids})[-DELIVERIES_LIMIT_COUNT:]
        if identifier is not None and _is_in_rows(request_id_of(identifier)):
            requests.append(request_id_of(identifier))
    except Error:
        _cannot_ask(lineage)
        return set()
    return set(requests)


def _ids_with(message_id: str) -> Iterator[UUID]:
    for model in (Event, DeadLetter, QuarantinedEvent):
        rows = model._default_manager.filter(message_id=message_id).order_by("-pk")
        yield from rows.values_list("pk", flat=True)[:DELIVERIES_LIMIT_COUNT]


def _is_in_rows(request_id: UUID) -> bool:
    if Delivery.objects.filter(pk=request_id).exists():
        return True
    models = (Event, DeadLetter, QuarantinedEvent, SuppressedDuplicate, AgedEvent)
    return any(model._default_manager.filter(_within(request_id)).exists() for model in models)


def _within(request_id: UUID) -> Q:
    return Q(pk__gte=request_id, pk__lte=last_event_id_of(request_id))


def _traces_in_rows(requests: Iterable[UUID], lineage: Lineage) -> dict[UUID, EventTrace]:
    found: dict[UUID, EventTrace] = {}
    try:
        for request_id in requests:
            found |= _traces_of_delivery(_within(request_id))
    except Error:
        _cannot_ask(lineage)
    return found


def _traces_of_delivery(within: Q) -> dict[UUID, EventTrace]:
    """Later ones win: a dead letter that was retried into the events is stored, and its steps have both lives."""
    duplicates = [traces.of_duplicate(row) for row in SuppressedDuplicate.objects.filter(within)]
    quarantined = list(QuarantinedEvent.objects.filter(within).select_related("batch").defer("payload_bytes"))
    dead = list(DeadLetter.objects.filter(within).select_related("batch").defer("payload_bytes"))
    firsts: dict[UUID, DeadLetter | QuarantinedEvent] = {row.event_id: row for row in quarantined}
    firsts |= {row.event_id: row for row in dead}
    events = list(Event.objects.filter(within).select_related("batch").defer("payload"))
    aged = AgedEvent.objects.filter(within).select_related("batch")  # asked after the events: one of the two has it
    repeats = dict(
        SuppressedDuplicate.objects.filter(original_event_id__in=[row.pk for row in events])
        .values_list("original_event_id")
        .annotate(Count("pk"))
    )
    known = [
        *duplicates,
        *(traces.of_quarantined(row) for row in quarantined),
        *(traces.of_dead_letter(row) for row in dead),
        *(traces.of_aged(row) for row in aged),
        *(traces.of_event(row, repeats_count=repeats.get(row.pk, 0), first=firsts.get(row.pk)) for row in events),
    ]
    return {trace.event_id: trace for trace in known}


def _may_wait(identifier: UUID | None, requests: set[UUID], found: dict[UUID, EventTrace]) -> bool:
    """False only where the rows account for all that was asked: a message may always have another event on a lane."""
    if identifier is None or request_id_of(identifier) not in requests:
        return True
    if identifier != request_id_of(identifier):
        return identifier not in found
    try:
        counts = list(Delivery.objects.filter(pk=identifier).values_list("event_count", flat=True))
    except Error:
        return True
    return not counts or len(found) < counts[0]


def _wanted(requests: set[UUID], message_id: str) -> Wanted:
    return lambda riding: request_id_of(riding.event_id) in requests or riding.message_id == message_id


def _traces_on_lanes(wanted: Wanted, *, buffer: LaneBuffer, lane_count: int, lineage: Lineage) -> Iterator[EventTrace]:
    try:
        for lane in range(lane_count):
            peek, epoch = buffer.peek(lane), buffer.epoch(lane)
            for entry in _entries(buffer, lane, lineage=lineage):
                riding = read_riding(entry, lane=lane, epoch=epoch)
                if not riding.is_unreadable and wanted(riding):
                    yield traces.of_entry(entry, riding, peek=peek)
    except BufferUnavailable:
        lineage.gaps.append("Redis cannot be asked: events that wait on a lane are not seen")


def _entries(buffer: LaneBuffer, lane: int, *, lineage: Lineage) -> Iterator[LaneEntry]:
    """A lane's entries in slices that fit in memory, oldest first, up to the limit."""
    peek = buffer.peek(lane)
    mean_bytes = max(peek.size_bytes // max(peek.depth_count, 1), 1)
    slice_count = min(max(SCAN_SLICE_BYTES // mean_bytes, 1), 500)
    sequence = seen_count = 0
    while entries := buffer.read_after(lane, sequence=sequence, limit_count=slice_count):
        yield from entries
        sequence, seen_count = entries[-1].sequence, seen_count + len(entries)
        if seen_count >= SCAN_LIMIT_COUNT:
            lineage.gaps.append(f"lane {lane} has more than {SCAN_LIMIT_COUNT} entries: only the oldest were searched")
            return


def _deliveries(requests: set[UUID], found: dict[UUID, EventTrace], lineage: Lineage) -> list[DeliveryTrace]:
    try:
        rows = {row.pk: row for row in Delivery.objects.filter(pk__in=requests).defer("body")}
        aged = {each: body_aged_at(each) for each in requests - rows.keys()}
    except Error:
        _cannot_ask(lineage)
        rows, aged = {}, {}
    return [_delivery(each, rows.get(each), found, aged_at=aged.get(each)) for each in sorted(requests)]


def _delivery(
    request_id: UUID, row: Delivery | None, found: dict[UUID, EventTrace], *, aged_at: datetime | None
) -> DeliveryTrace:
    events = {each: trace for each, trace in found.items() if trace.request_id == request_id}
    expected = [event_id(request_id, position=i) for i in range(row.event_count)] if row else []
    return DeliveryTrace(
        request_id=request_id,
        provider=row.provider if row else next((trace.provider for trace in events.values()), ""),
        received_at=row.received_at if row else None,
        event_count=row.event_count if row else None,
        body_aged_at=aged_at,
        sender_trace=stored_headers(row).get(SENDER_TRACE, "") if row else "",
        events=tuple(events.get(each) or traces.untraced(each) for each in sorted({*expected, *events})),
    )


def _asked(identifier: UUID | None, message_id: str, deliveries: list[DeliveryTrace]) -> Iterator[UUID]:
    for event in (event for delivery in deliveries for event in delivery.events):
        is_whole_delivery = identifier is not None and identifier == event.request_id
        if is_whole_delivery or event.event_id == identifier or (event.message_id and event.message_id == message_id):
            yield event.event_id


def _cannot_ask(lineage: Lineage) -> None:
    connection.close()  # a dead connection must not answer for the rest of the process
    sentence = "PostgreSQL cannot be asked: what is committed is not seen"
    if sentence not in lineage.gaps:
        lineage.gaps.append(sentence)
