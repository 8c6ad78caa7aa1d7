"""Event and dead-letter details: complete, escaped, and without the secrets that came in headers."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from autocom.kernel.ids import request_id_of
from autocom.kernel.trace_ids import trace_id
from console.mode_banner import SHOWN
from console.roles import Role
from console.shown import TEXT_LIMIT_COUNT
from ingestion.models import LaneIncident
from tests.console.rows import (
    batch_row,
    dead_letter_row,
    delivery_row,
    duplicate_row,
    event_row,
    provider_row,
    quarantined_row,
)

pytestmark = pytest.mark.django_db

HOSTILE = '"><script>alert(1)</script>'
OVERRIDE = "\u202e"  # turns the reading direction of what follows


def detail(client: Any, row: Any) -> str:
    name = f"admin:{row._meta.app_label}_{row._meta.model_name}_change"
    response = client.get(reverse(name, args=[row.pk]))
    assert response.status_code == 200
    return str(response.content.decode())


def test_no_text_from_outside_becomes_markup(signed_in: Any) -> None:
    hostile: dict[str, Any] = {
        "event_type": HOSTILE,
        "message_id": HOSTILE,
        "ordering_key": HOSTILE,
        "provider": "default",
    }
    event = event_row(**hostile, kind="other", payload={HOSTILE: HOSTILE, "</pre>": "</details>"})
    delivery_row(event, **{HOSTILE: HOSTILE})
    masked = event_row(**hostile, recipe=HOSTILE[:24], payload={HOSTILE: HOSTILE})
    letter = dead_letter_row(**hostile, error_class=HOSTILE, error=HOSTILE * 9, payload_bytes=HOSTILE.encode())
    incident = LaneIncident.objects.create(
        lane=0, kind="gap", epoch=1, first_sequence=1, last_sequence=1, detail=HOSTILE
    )
    client = signed_in(Role.DRI)
    pages = [detail(client, row) for row in (event, letter, incident, event.batch, masked)]
    pages += [
        client.get(address).content.decode()
        for address in (
            "/admin/ingestion/event/",
            "/admin/ingestion/deadletter/",
            f"/admin/search/?s={event.pk}",
            f"/admin/search/?s={letter.pk}",
        )
    ]
    pages.append(client.get("/admin/ingestion/event/", {"q": HOSTILE}).content.decode())
    pages.append(client.get("/admin/ingestion/event/", {"q": f"id:{HOSTILE}"}).content.decode())
    for text in pages:
        assert "<script>alert" not in text
        assert "&lt;script&gt;alert" in text or "batch" in text
    assert "&lt;/pre&gt;" in pages[0]


def test_the_event_detail_shows_each_step_with_the_time_it_took(signed_in: Any) -> None:
    received = datetime(2026, 5, 3, 9, 12, 4, 250_000, tzinfo=UTC)
    batch = batch_row(
        claimed_at=received + timedelta(milliseconds=44), committed_at=received + timedelta(milliseconds=56)
    )
    event = event_row(received_at=received, accepted_at=received + timedelta(milliseconds=3), batch=batch)
    text = detail(signed_in(Role.DRI), event)
    for part in ("2026-05-03 09:12:04.250 UTC", "3.00 ms", "41.0 ms", "12.0 ms", "56.0 ms", "worker-1"):
        assert part in text, part


def test_the_event_detail_has_its_trace_id_to_copy_as_the_log_writes_it(signed_in: Any) -> None:
    event = event_row()
    text = detail(signed_in(Role.DRI), event)
    assert f'data-copy="{trace_id(request_id_of(event.pk))}"' in text


def test_credentials_in_kept_headers_are_masked(signed_in: Any) -> None:
    event = event_row()
    delivery_row(event, Authorization="Bearer top-level-thing", **{"x-webhook-signature": "sha256=feed"})
    text = detail(signed_in(Role.DRI), event)
    assert "top-level-thing" not in text
    assert "sha256=feed" in text


def test_bytes_that_are_no_text_are_shown_by_their_numbers(signed_in: Any) -> None:
    letter = dead_letter_row(payload_bytes=b'{"a":"\xff\x00\x1b[31m' + OVERRIDE.encode() + b'"}')
    text = detail(signed_in(Role.DRI), letter)
    assert "\\xff\\u0000\\u001b[31m\\u202e" in text
    assert not {"\x00", "\x1b", OVERRIDE} & set(text)


def test_a_payload_of_a_megabyte_is_cut_and_says_so(signed_in: Any) -> None:
    event = event_row(payload={"x": "y" * 1_000_000})
    text = detail(signed_in(Role.DRI), event)
    assert "more characters are not shown" in text
    assert text.count("y") < TEXT_LIMIT_COUNT + 10_000


def test_an_event_that_does_not_exist_is_no_server_error(signed_in: Any) -> None:
    client = signed_in(Role.DRI)
    assert client.get("/admin/ingestion/event/nonsense/change/").status_code == 302
    assert client.get("/admin/ingestion/event/0190f2a4-0000-7000-8000-000000000000/change/").status_code == 302


@pytest.mark.parametrize(
    ("address", "budget"),
    [
        ("/admin/ingestion/event/", 7),
        ("/admin/ingestion/deadletter/", 8),
        ("/admin/ingestion/suppressedduplicate/", 7),
        ("/admin/ingestion/quarantinedevent/", 8),
        ("/admin/ingestion/batch/", 6),
        ("/admin/ingestion/laneincident/", 6),
        ("/admin/ingestion/provider/", 10),
        ("/admin/", 20),
    ],
)
def test_a_page_takes_as_many_queries_for_many_rows_as_for_few(signed_in: Any, address: str, budget: int) -> None:
    client = signed_in(Role.DRI)
    taken = []
    for round_number in range(2):
        batch = batch_row()
        for number in range(1 + 29 * round_number):
            event = event_row(batch=batch)
            duplicate_row(event)
            quarantined_row(event, batch=batch)
            dead_letter_row(batch=batch)
            batch_row()
            provider_row(f"provider-{round_number}-{number}")
            LaneIncident.objects.create(lane=0, kind="gap", epoch=1, first_sequence=1, last_sequence=1)
        client.get(address)
        from console.pages import overview

        overview.SNAPSHOTS._snapshots.clear()
        SHOWN.forget()
        with CaptureQueriesContext(connection) as queries:
            assert client.get(address).status_code == 200
        taken.append(len(queries))
    assert taken[0] == taken[1]
    assert taken[1] <= budget, taken
