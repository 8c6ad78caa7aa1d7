"""What aged out is said to have aged out, and when; no page fails for it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from autocom.kernel.merkle import leaf_hash, root_of_hashes
from console.roles import Role
from ingestion.models import Batch, Event
from tests.console.rows import batch_row, delivery_row, duplicate_row, event_row, quarantined_row
from tests.support.ageing import age
from tests.support.lanes import leaf_of_row

pytestmark = pytest.mark.django_db


def provable_event(**fields: Any) -> Event:
    """An event whose batch has the root of its one leaf."""
    event = event_row(**fields)
    event = Event.objects.get(pk=event.pk)
    Batch.objects.filter(pk=event.batch_id).update(
        lane=event.lane,
        epoch=event.epoch,
        first_sequence=event.sequence,
        last_sequence=event.sequence,
        merkle_root=root_of_hashes([leaf_hash(leaf_of_row(event))]),
    )
    return event


def shown(client: Any, address: str) -> str:
    answer = client.get(address, follow=True)
    assert answer.status_code == 200
    text: str = answer.content.decode()
    return text


def in_words(days: int) -> str:
    return f"{datetime.now(UTC) + timedelta(days=days):%Y-%m-%d}"


def test_an_event_without_its_body_says_when_it_aged_out(signed_in: Any) -> None:
    event = provable_event()
    delivery_row(event)
    address = f"/admin/ingestion/event/{event.pk}/change/"
    client = signed_in(Role.DRI)
    assert "no longer kept" not in shown(client, address)
    age(days=31)
    text = shown(client, address)
    assert f"the payload is no longer kept: it aged out on {in_words(31)}" in text
    assert f"the body is no longer kept: it aged out on {in_words(31)}" in text
    assert event.message_id in text


def test_the_address_of_an_event_that_aged_out_says_so_and_where_its_proof_is(signed_in: Any) -> None:
    event = provable_event()
    age(days=91)
    client = signed_in(Role.DRI)
    text = shown(client, f"/admin/ingestion/event/{event.pk}/change/")
    assert f"removed by retention on {in_words(91)}" in text
    assert f"batch {event.batch_id}" in text
    other = shown(client, "/admin/ingestion/event/0190f2a4-0000-7000-8000-000000000000/change/")
    assert "removed by retention" not in other


def test_the_batch_of_aged_events_says_so(signed_in: Any) -> None:
    event = provable_event()
    age(days=91)
    text = shown(signed_in(Role.DRI), f"/admin/ingestion/batch/{event.batch_id}/change/")
    assert "their leaves are kept" in text


def test_a_duplicate_and_a_quarantined_event_lead_to_what_is_left_of_the_original(signed_in: Any) -> None:
    event = provable_event()
    kept = quarantined_row(event, batch=batch_row(quarantined_count=1, event_count=0))
    client = signed_in(Role.DRI)
    age(days=31)
    text = shown(client, f"/admin/ingestion/quarantinedevent/{kept.pk}/change/")
    assert "payload is no longer kept" in text
    duplicate = duplicate_row(event, received_at=datetime.now(UTC) + timedelta(days=10))
    age(days=91)
    for address in (f"quarantinedevent/{kept.pk}", f"suppressedduplicate/{duplicate.pk}"):
        assert "removed by retention on" in shown(client, f"/admin/ingestion/{address}/change/")
