"""The insert with one parameter: its rows have the model's columns, its values come back as they went in."""

from __future__ import annotations

import pytest
from django.db import models

from ingestion.bulk_insert import NotRepresentable, insert_new
from ingestion.models import Delivery, Event
from tests.support.lanes import LaneKit, delivery, event
from tests.support.redrives import dead, retry


def columns(model: type[models.Model]) -> set[str | None]:
    return {field.column for field in model._meta.concrete_fields}


@pytest.mark.django_db(transaction=True)
def test_rows_of_events_and_deliveries_have_every_column_of_their_tables(
    lanes: LaneKit, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: dict[type[models.Model], set[str | None]] = {}

    def watched(model: type[models.Model], rows: list[dict[str, object]]) -> int:
        seen.setdefault(model, set()).update(*rows)
        return insert_new(model, rows)

    monkeypatch.setattr("ingestion.commit.insert_new", watched)
    lanes.append(delivery(event("evt-1")))
    lanes.append(delivery(event("evt-2"), body=b"a form"))
    lanes.drain()
    (receipt,) = dead(lanes, monkeypatch, "evt-3")
    retry(receipt.event_id)
    lanes.drain()
    assert seen == {Event: columns(Event), Delivery: columns(Delivery)}


@pytest.mark.django_db(transaction=True)
def test_what_was_stored_reads_back_as_it_was_sent(lanes: LaneKit) -> None:
    payload = b'{"id": "evt-1", "text": "\xc3\xbc \\\\ \\" \\n %s {} $1", "n": 12345678901234567890123, "f": 1.5e-7}'
    lanes.receive("evt-1", payload=payload)
    lanes.drain()
    stored = Event.objects.get()
    assert stored.payload["text"] == 'ü \\ " \n %s {} $1'
    assert stored.payload["n"] == 12345678901234567890123
    assert bytes(Delivery.objects.get().body) == payload


def test_a_value_that_json_cannot_hold_is_refused_as_the_fault_of_data() -> None:
    with pytest.raises(NotRepresentable):
        insert_new(Delivery, [{"request_id": "\ud800"}])
