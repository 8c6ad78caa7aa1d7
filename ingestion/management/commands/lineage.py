from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, TypedDict

from django.conf import settings
from django.core.management.base import CommandParser

from autocom.kernel.trace_ids import sender_span, trace_id
from ingestion.buffer.store import lane_buffer
from ingestion.lineage import DeliveryTrace, IdInvalid, Lineage, lineage_of
from ingestion.management.with_examples import WithExamples
from ingestion.traces import NO_TRACE, EventTrace, Step, counted

FOUND, NOTHING_FOUND, BAD_ID, CANNOT_TELL = 0, 1, 2, 3
EVENTS_SHOWN_COUNT = 20  # of one delivery; --json has them all


class StepJson(TypedDict):
    name: str
    at: str
    took_us: int | None
    what: str


class EventJson(TypedDict):
    event_id: str
    asked: bool
    fate: str
    what: str
    provider: str
    message_id: str
    event_type: str
    ordering_key: str
    original_event_id: str | None
    lane: int | None
    epoch: int | None
    sequence: int | None
    batch: int | None
    worker: str
    steps: list[StepJson]


class Command(WithExamples):
    help = (
        "Print the way of an event or a delivery, with a time for each step. "
        "Exit 0: found. 1: nothing found. 2: the text can be no id. "
        "3: nothing found, but not everything could be asked."
    )
    examples = ("lineage hello-1", "lineage 01a20877-3e9d-7985-b24d-b2dbc3e74000 --json")
    requires_system_checks = ()

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("id", help="an event id, a request id, or the message id that the sender gave")
        parser.add_argument("--json", action="store_true", help="print one JSON object instead of text")

    def handle(self, *, id: str, json: bool, **_: Any) -> None:  # noqa: A002  (the arguments' names)
        try:
            lineage = lineage_of(id, buffer=lane_buffer(), lane_count=settings.AUTOCOM.lanes)
        except IdInvalid as error:
            self.stderr.write(f"lineage: {error}")
            sys.exit(BAD_ID)
        lines = [as_json(id, lineage)] if json else as_text(id, lineage)
        for line in lines:
            self.stdout.write(line)
        sys.exit(exit_status(lineage))


def exit_status(lineage: Lineage) -> int:
    if lineage.is_found:
        return FOUND
    return CANNOT_TELL if lineage.gaps else NOTHING_FOUND


def as_text(asked: str, lineage: Lineage) -> Iterator[str]:
    """The asked events with their steps; of the delivery's other events only the number."""
    for delivery in lineage.deliveries:
        yield from _delivery_text(delivery, lineage)
    if not lineage.is_found:
        yield f"{asked}: {'not found, and not everything could be asked' if lineage.gaps else NO_TRACE}"
    for gap in lineage.gaps:
        yield f"! {gap}"


def _delivery_text(delivery: DeliveryTrace, lineage: Lineage) -> Iterator[str]:
    yield f"request {delivery.request_id}  provider {delivery.provider}  {_state(delivery)}"
    sender = sender_span(delivery.sender_trace)
    yield f"  trace {trace_id(delivery.request_id)}" + (
        f"  sender's trace {sender[0]}, span {sender[1]}" if sender else ""
    )
    shown = [event for event in delivery.events if event.event_id in lineage.asked][:EVENTS_SHOWN_COUNT]
    for event in shown:
        yield from _event_text(event)
    if others := Counter(event.fate for event in delivery.events if event not in shown):
        yield "  other events of this delivery: " + ", ".join(f"{count} {fate}" for fate, count in others.items())


def _state(delivery: DeliveryTrace) -> str:
    if delivery.body_aged_at is not None:
        return f"body and headers are no longer kept: they aged out on {delivery.body_aged_at:%Y-%m-%d}"
    return "not committed yet" if delivery.event_count is None else counted(delivery.event_count, "event")


def _event_text(event: EventTrace) -> Iterator[str]:
    names = "  ".join(_visible(text) for text in (event.event_type, event.message_id) if text)
    yield f"  event {event.event_id}  {names}".rstrip()
    for step in event.steps:
        yield f"    {step.name:<10}{moment(step.at)}  {_took(step.took):>14}  {_visible(step.what)}".rstrip()
    yield f"    {_visible(event.what)}"


def _took(took: timedelta | None) -> str:
    return "" if took is None else f"{took / timedelta(milliseconds=1):+,.3f} ms"


def moment(at: datetime) -> str:
    return at.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def _visible(text: str) -> str:
    """A sender's text must not steer the terminal."""
    return "".join(character if character.isprintable() else ascii(character)[1:-1] for character in text)


def as_json(asked: str, lineage: Lineage) -> str:
    return json.dumps(lineage_json(asked, lineage), indent=2)


def lineage_json(asked: str, lineage: Lineage) -> Any:
    return {
        "asked": asked,
        "found": lineage.is_found,
        "gaps": lineage.gaps,
        "deliveries": [
            {
                "request_id": str(delivery.request_id),
                "trace_id": trace_id(delivery.request_id),
                "sender_traceparent": delivery.sender_trace if sender_span(delivery.sender_trace) else None,
                "provider": delivery.provider,
                "received_at": None if delivery.received_at is None else moment(delivery.received_at),
                "event_count": delivery.event_count,
                "body_aged_at": None if delivery.body_aged_at is None else moment(delivery.body_aged_at),
                "events": [_event_json(event, is_asked=event.event_id in lineage.asked) for event in delivery.events],
            }
            for delivery in lineage.deliveries
        ],
    }


def _event_json(event: EventTrace, *, is_asked: bool) -> EventJson:
    return EventJson(
        event_id=str(event.event_id),
        asked=is_asked,
        fate=event.fate.value,
        what=event.what,
        provider=event.provider,
        message_id=event.message_id,
        event_type=event.event_type,
        ordering_key=event.ordering_key,
        original_event_id=None if event.original_event_id is None else str(event.original_event_id),
        lane=event.lane,
        epoch=event.epoch,
        sequence=event.sequence,
        batch=event.batch,
        worker=event.worker,
        steps=[_step_json(step) for step in event.steps],
    )


def _step_json(step: Step) -> StepJson:
    took_us = None if step.took is None else step.took // timedelta(microseconds=1)
    return StepJson(name=step.name, at=moment(step.at), took_us=took_us, what=step.what)
