"""Pages by key: every row once, in order, whatever is inserted meanwhile; and nothing is counted or skipped."""

from typing import Any
from urllib.parse import parse_qs, urlsplit
from uuid import UUID

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra.django import TestCase

from console.admin.events import EventAdmin
from console.keyset import Cursor, CursorInvalid, keyset_page
from console.roles import Role
from ingestion.models import Event, LaneIncident
from tests.console.rows import batch_row, event_row, provider_row

EVENTS = "/admin/ingestion/event/"


def incident_rows(kinds: list[str]) -> None:
    LaneIncident.objects.bulk_create(
        [LaneIncident(lane=0, kind=kind, epoch=1, first_sequence=1, last_sequence=1) for kind in kinds]
    )


class KeysetWalk(TestCase):
    """Property tests on a small table: hypothesis chooses rows, page sizes, scan limits and when rows are added."""

    @settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
    @given(
        kinds=st.lists(st.sampled_from(["gap", "reused"]), max_size=40),
        size=st.integers(1, 7),
        scan_limit=st.integers(1, 12),
        wanted=st.sampled_from([None, "gap"]),
        inserts=st.lists(st.integers(0, 3), max_size=6),
    )
    def test_pages_one_after_another_are_all_rows_in_order_though_rows_arrive_meanwhile(
        self, kinds: list[str], size: int, scan_limit: int, wanted: str | None, inserts: list[int]
    ) -> None:
        incident_rows(kinds)
        rows = LaneIncident.objects.all() if wanted is None else LaneIncident.objects.filter(kind=wanted)
        expected = list(rows.order_by("-pk").values_list("pk", flat=True))
        arriving = iter(inserts)
        seen: list[int] = []
        cursor = Cursor()
        for _ in range(len(kinds) + 2):
            page = keyset_page(
                rows, cursor=cursor, size_count=size, is_indexed=wanted is None, scan_limit_count=scan_limit
            )
            assert len(page.rows) <= size
            seen += [row.pk for row in page.rows]
            incident_rows(["gap"] * next(arriving, 0))
            if page.older_before is None:
                break
            cursor = Cursor(before=page.older_before)
        else:
            raise AssertionError("the pages never end")
        assert seen == expected

    @settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
    @given(
        kinds=st.lists(st.sampled_from(["gap", "reused"]), min_size=1, max_size=30),
        size=st.integers(1, 7),
        scan_limit=st.integers(1, 9),
        wanted=st.sampled_from([None, "gap"]),
    )
    def test_pages_towards_newer_rows_are_all_rows_in_order_too(
        self, kinds: list[str], size: int, scan_limit: int, wanted: str | None
    ) -> None:
        incident_rows(kinds)
        rows = LaneIncident.objects.all() if wanted is None else LaneIncident.objects.filter(kind=wanted)
        expected = list(rows.order_by("-pk").values_list("pk", flat=True))
        seen: list[int] = []
        cursor = Cursor(after=0)
        for _ in range(len(kinds) + 2):
            page = keyset_page(
                rows, cursor=cursor, size_count=size, is_indexed=wanted is None, scan_limit_count=scan_limit
            )
            seen = [row.pk for row in page.rows] + seen
            if page.newer_after is None:
                break
            cursor = Cursor(after=page.newer_after)
        else:
            raise AssertionError("the pages never end")
        assert seen == expected


@pytest.mark.parametrize(
    "parameters",
    [{"before": "nonsense"}, {"after": "1; DROP TABLE"}, {"before": str(UUID(int=1)), "after": str(UUID(int=2))}],
)
def test_a_malformed_cursor_is_refused(parameters: dict[str, str]) -> None:
    with pytest.raises(CursorInvalid):
        Cursor.from_parameters(parameters, model=Event)


@pytest.mark.django_db
def test_a_malformed_cursor_in_the_address_is_no_server_error(signed_in: Any) -> None:
    response = signed_in(Role.DRI).get(EVENTS, {"before": "nonsense"})
    assert (response.status_code, response["Location"]) == (302, f"{EVENTS}?e=1")


def ids_on(response: Any) -> list[UUID]:
    return [row.pk for row in response.context["cl"].result_list]


def link(response: Any, name: str) -> dict[str, str] | None:
    found = getattr(response.context["cl"], f"{name}_link")
    return None if found is None else {key: values[0] for key, values in parse_qs(urlsplit(found).query).items()}


def walk(client: Client, parameters: dict[str, str]) -> list[UUID]:
    seen: list[UUID] = []
    while True:
        response = client.get(EVENTS, parameters)
        seen += ids_on(response)
        following = link(response, "older")
        if following is None:
            return seen
        parameters = following


@pytest.mark.django_db
def test_the_event_list_walks_every_event_under_search_and_filter(signed_in: Any) -> None:
    provider_row("default")
    provider_row("billing", scheme="standard")
    batch = batch_row()
    for number in range(130):
        event_row(
            batch=batch,
            provider="billing" if number % 2 else "default",
            event_type="invoice.paid" if number % 3 == 0 else "email.opened",
            ordering_key=f"customer-{number % 2}",
        )
    client = signed_in(Role.DRI)
    newest_first = Event.objects.order_by("-pk")
    cases: list[tuple[dict[str, str], Any]] = [
        ({}, newest_first),
        ({"provider": "billing"}, newest_first.filter(provider="billing")),
        ({"q": "type:email.opened"}, newest_first.filter(event_type="email.opened")),
        ({"q": "key:customer-1", "provider": "billing"}, newest_first.filter(ordering_key="customer-1")),
    ]
    for parameters, expected in cases:
        assert walk(client, parameters) == list(expected.values_list("pk", flat=True)), parameters


@pytest.mark.django_db
def test_the_link_to_newer_events_leads_back_to_the_page_before(signed_in: Any) -> None:
    batch = batch_row()
    for _ in range(120):
        event_row(batch=batch)
    client = signed_in(Role.DRI)
    first = client.get(EVENTS)
    second = client.get(EVENTS, link(first, "older"))
    assert ids_on(client.get(EVENTS, link(second, "newer"))) == ids_on(first)


@pytest.mark.django_db
def test_a_new_filter_starts_at_the_newest_row_again(signed_in: Any) -> None:
    provider_row("default")
    batch = batch_row()
    for _ in range(60):
        event_row(batch=batch)
    client = signed_in(Role.DRI)
    second = client.get(EVENTS, link(client.get(EVENTS), "older"))
    for choice in second.context["cl"].filter_specs[0].choices(second.context["cl"]):
        assert "before" not in choice["query_string"]
    assert 'name="before"' not in second.content.decode()


@pytest.mark.django_db
@pytest.mark.parametrize(
    "parameters",
    [{}, {"q": "type:email.opened"}, {"provider": "default"}, {"q": "msg-1"}, {"before": str(UUID(int=1 << 127))}],
)
def test_the_event_list_counts_and_skips_nothing_and_keeps_to_its_queries(
    signed_in: Any, parameters: dict[str, str]
) -> None:
    provider_row("default")
    batch = batch_row()
    for _ in range(60):
        event_row(batch=batch)
    client = signed_in(Role.DRI)
    client.get(EVENTS, parameters)
    with CaptureQueriesContext(
        connection,
    ) as queries:
        assert client.get(EVENTS, parameters).status_code == 200
    statements = [query["sql"].upper() for query in queries]
    assert not [sql for sql in statements if "COUNT(" in sql or "OFFSET" in sql]
    assert not [sql for sql in statements if '"PAYLOAD"' in sql], "the list reads payloads"
    assert len(statements) <= 9, statements


@pytest.mark.django_db
def test_a_filter_on_any_column_by_the_address_is_refused(signed_in: Any) -> None:
    assert signed_in(Role.DRI).get(EVENTS, {"payload__icontains": "x"}).status_code == 400


@pytest.mark.django_db
@pytest.mark.parametrize(
    "parameters", [{"q": "type:rare"}, {"provider": "rare"}, {"q": "type:rare", "provider": "rare"}]
)
def test_a_search_that_no_index_serves_stops_at_its_limit_says_so_and_leads_on(
    signed_in: Any, monkeypatch: pytest.MonkeyPatch, parameters: dict[str, str]
) -> None:
    monkeypatch.setattr(EventAdmin, "scan_limit_count", 10)
    provider_row("rare")
    batch = batch_row()
    wanted = event_row(batch=batch, event_type="rare", provider="rare")
    for _ in range(25):
        event_row(batch=batch)
    client = signed_in(Role.DRI)
    first = client.get(EVENTS, parameters)
    assert ids_on(first) == []
    text = first.content.decode()
    assert "nothing matches there" in text
    assert "Look further back" in text
    assert f"{timezone.now():%Y-%m-%d}" in text, "how far back it looked"
    assert walk(client, parameters) == [wanted.pk]


@pytest.mark.django_db
def test_a_search_that_an_index_serves_has_no_limit(signed_in: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(EventAdmin, "scan_limit_count", 10)
    batch = batch_row()
    wanted = event_row(batch=batch, ordering_key="rare")
    for _ in range(25):
        event_row(batch=batch)
    response = signed_in(Role.DRI).get(EVENTS, {"q": "key:rare"})
    assert ids_on(response) == [wanted.pk]
    assert "Look further back" not in response.content.decode()
