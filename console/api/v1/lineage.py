"""`/api/v1/lineage`: the way of an event or a delivery, with a time for each step."""

from __future__ import annotations

from typing import TypedDict

from django.conf import settings
from django.http import HttpResponse
from rest_framework.request import Request

from console.access import Permission
from console.api.v1.errors import RequestInvalid
from console.api.v1.operation import Operation, Query
from console.api.v1.shapes import EventId, Moment
from console.api.v1.view import ApiView, answered
from ingestion.buffer.store import lane_buffer
from ingestion.lineage import IdInvalid, lineage_of
from ingestion.management.commands.lineage import lineage_json

ID = Query(
    name="id",
    said="An event id, a request id, or the message id that the sender gave.",
    schema={
        "type": "string",
        "maxLength": 1_000,
        "pattern": r"^[^\u0000-\u0020\u007f-\u00a0][^\u0000-\u001f\u007f-\u009f]*$",
    },
    is_required=True,
)


class StepJson(TypedDict):
    """`took_us`: since the step before; null where one of the two times is not known."""

    name: str
    at: Moment
    took_us: int | None
    what: str


class TracedEventJson(TypedDict):
    event_id: EventId
    asked: bool
    fate: str
    what: str
    provider: str
    message_id: str
    event_type: str
    ordering_key: str
    original_event_id: EventId | None
    lane: int | None
    epoch: int | None
    sequence: int | None
    batch: int | None
    worker: str
    steps: list[StepJson]


class TracedDeliveryJson(TypedDict):
    """One POST. Its count and time are null while only its lane knows of it, and once its body aged out."""

    request_id: EventId
    provider: str
    received_at: Moment | None
    event_count: int | None
    body_aged_at: Moment | None
    events: list[TracedEventJson]


class LineageJson(TypedDict):
    """`gaps`: what could not be asked; while there are any, not found means not known."""

    asked: str
    found: bool
    gaps: list[str]
    deliveries: list[TracedDeliveryJson]


class LineageItem(ApiView):
    """Asks the rows and the lanes, so it knows of events that are not committed yet."""

    operations = {
        "GET": Operation(
            summary="Lineage", permission=Permission.EVENT_READ, answer=LineageJson, query=(ID,), tag="events"
        )
    }

    def get(self, _: Request) -> HttpResponse:
        try:
            found = lineage_of(self.query["id"], buffer=lane_buffer(), lane_count=settings.AUTOCOM.lanes)
        except IdInvalid as error:
            raise RequestInvalid(str(error)) from error
        return answered(_without_data(lineage_json(self.query["id"], found)))


def _without_data(told: LineageJson) -> LineageJson:
    """PostgreSQL's second line of an error may quote what it refused."""
    for delivery in told["deliveries"]:
        for event in delivery["events"]:
            event["what"] = event["what"].partition("\n")[0]
            for step in event["steps"]:
                step["what"] = step["what"].partition("\n")[0]
    return told
