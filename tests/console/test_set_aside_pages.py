"""Duplicates, quarantine and refused deliveries: found, linked, compared, escaped."""

from __future__ import annotations

import html
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.urls import reverse

from autocom.kernel.digest import sha256
from console.differences import PATHS_LIMIT_COUNT, differing_paths
from console.pages.overview_figures import figures_of
from console.pages.overview_snapshot import OverviewSources, SnapshotCache, Window
from console.roles import Role
from ingestion.models import Event
from ingestion.refusals.advice import BY_CAUSE, BY_REASON
from ingestion.refusals.causes import Cause
from tests.console.rows import (
    dead_letter_row,
    duplicate_row,
    event_row,
    provider_row,
    quarantined_row,
    refusal_rows,
)

pytestmark = pytest.mark.django_db

DUPLICATES = "/admin/ingestion/suppressedduplicate/"
QUARANTINE = "/admin/ingestion/quarantinedevent/"
HOSTILE = '"><script>alert(1)</script>'


def change(row: Any) -> str:
    return reverse(f"admin:{row._meta.app_label}_{row._meta.model_name}_change", args=[row.pk])


def text_of(client: Any, address: str) -> str:
    response = client.get(address)
    assert response.status_code == 200, address
    return html.unescape(response.content.decode())


def listed(client: Any, address: str, query: str) -> set[Any]:
    response = client.get(address, {"q": query})
    assert response.status_code == 200
    return {row.pk for row in response.context["cl"].result_list}


@pytest.mark.parametrize(("address", "make"), [(DUPLICATES, duplicate_row), (QUARANTINE, quarantined_row)])
def test_rows_are_found_by_message_provider_original_and_id(signed_in: Any, address: str, make: Any) -> None:
    one, other = event_row(message_id="m-1"), event_row(message_id="m-2", provider="billing")
    first, second = make(one), make(other)
    client = signed_in(Role.DRI)
    assert listed(client, address, "") == {first.pk, second.pk}
    for query in ("m-1", "message:m-1", f"original:{one.pk}", str(one.pk), str(first.pk), f"id:{first.pk}"):
        assert listed(client, address, query) == {first.pk}, query
    assert listed(client, address, "provider:billing") == {second.pk}
    assert listed(client, address, "message:m-2 provider:default") == set()
    for query in ("original:nonsense", "nothing-like-it", str(uuid4())):
        assert listed(client, address, query) == set(), query
    assert "original:" in text_of(client, f"{address}?q=nothing-like-it")


def test_the_list_pages_by_key_and_not_by_number(signed_in: Any) -> None:
    original = event_row()
    rows = [duplicate_row(original).pk for _ in range(55)]
    client = signed_in(Role.AUDITOR)
    response = client.get(DUPLICATES)
    page = [row.pk for row in response.context["cl"].result_list]
    older = client.get(DUPLICATES + response.context["cl"].older_link)
    page += [row.pk for row in older.context["cl"].result_list]
    assert page == sorted(rows, reverse=True)


def test_an_event_shows_its_duplicates_and_what_came_with_another_content(signed_in: Any) -> None:
    event, alone = event_row(), event_row()
    early, late = duplicate_row(event), duplicate_row(event, late=True)
    quarantined = quarantined_row(event)
    client = signed_in(Role.DRI)
    text = text_of(client, change(event))
    for row in (early, late, quarantined):
        assert change(row) in text
    assert "PostgreSQL, late" in text
    assert "none: it came once" in text_of(client, change(alone))
    for _ in range(25):
        duplicate_row(event)
    assert f"{DUPLICATES}?q=original:{event.pk}" in text_of(client, change(event))


def test_a_duplicate_leads_to_its_original_whatever_became_of_it(signed_in: Any) -> None:
    event, letter = event_row(), dead_letter_row()
    client = signed_in(Role.DRI)
    stored = duplicate_row(event, received_at=event.received_at + timedelta(seconds=90))
    text = text_of(client, change(stored))
    assert change(event) in text
    assert "90.00 s" in text
    assert change(letter) in text_of(client, change(duplicate_row(event, original_event_id=letter.pk)))
    assert "not stored: it may wait" in text_of(client, change(duplicate_row(event, original_event_id=uuid4())))


def test_quarantine_shows_both_contents_where_they_differ_and_both_digests(signed_in: Any) -> None:
    event = event_row(payload={"amount": 10, "to": "a@example.com", "items": [1, 2]}, content_sha256=sha256(b"first"))
    row = quarantined_row(
        event,
        payload_bytes=b'{"amount": 12, "to": "a@example.com", "items": [1, 2, 3], "note": "x"}',
        content_sha256=sha256(b"second"),
    )
    text = text_of(signed_in(Role.DRI), change(row))
    for part in ('"amount": 10', '"amount": 12', sha256(b"first").hex(), sha256(b"second").hex(), change(event)):
        assert part in text, part
    differs = text.partition("Differs at")[2].partition("Both contents")[0]
    assert "amount" in differs
    assert "items[2] (only in the second)" in differs
    assert "note (only in the second)" in differs
    assert ">to<" not in differs


@pytest.mark.parametrize(
    "payload",
    [
        *(b"\xff\x00 no JSON", b"[" * 5_000, b"", b'{"a": NaN}', b'{"a": "\\ud800"}'),
        *(b"[" * depth + b"]" * depth for depth in (500, 900, 5_000, 100_000)),
    ],
    ids=lambda payload: payload[:12],
)
def test_quarantine_of_any_bytes_and_of_any_original_is_a_page(signed_in: Any, payload: bytes) -> None:
    client = signed_in(Role.DRI)
    event, letter = event_row(), dead_letter_row(payload_bytes=payload)
    for original in (event.pk, letter.pk, uuid4(), None):
        row = quarantined_row(event, payload_bytes=payload, original_event_id=original, original_content_sha256=None)
        assert "Quarantined" in text_of(client, change(row))


def test_no_text_from_outside_becomes_markup(signed_in: Any) -> None:
    event = event_row(event_type=HOSTILE, message_id=HOSTILE, payload={HOSTILE: HOSTILE})
    provider = provider_row("default")
    rows = [duplicate_row(event), quarantined_row(event, payload_bytes=b'{"a": "%s"}' % HOSTILE.encode())]
    rows.append(quarantined_row(event, payload_bytes=b'{"\\"><script>alert(1)</script>": 1}'))
    refusal_rows(
        "default",
        detail=HOSTILE,
        cause_detail=HOSTILE,
        header_names=[HOSTILE],
        signature_starts={HOSTILE: HOSTILE},
        content_type=HOSTILE,
        body_start=HOSTILE,
        reason=HOSTILE,
        cause=HOSTILE,
    )
    client = signed_in(Role.DRI)
    for address in (DUPLICATES, QUARANTINE, change(event), change(provider), *map(change, rows)):
        raw = client.get(address).content.decode()
        assert "<script>alert(1)" not in raw, address
        assert "&lt;script&gt;" in raw, address


@pytest.mark.parametrize(
    ("one", "other", "paths"),
    [
        ({"a": 1}, {"a": 1}, []),
        ({"a": 1}, {"a": True}, ["a"]),
        ({"a": {"b": [1, {"c": 2}]}}, {"a": {"b": [1, {"c": 3}]}}, ["a.b[1].c"]),
        ({"a": 1}, {"b": 1}, ["a (only in the first)", "b (only in the second)"]),
        ([], {}, ["the whole content"]),
        (1.0, 1, ["the whole content"]),
    ],
)
def test_differences_are_told_by_their_paths(one: object, other: object, paths: list[str]) -> None:
    assert list(differing_paths(one, other)) == paths


def test_differences_are_bounded_in_number_depth_and_length() -> None:
    deep: object = 1
    other: object = 2
    for _ in range(900):
        deep, other = {"k" * 50: deep}, {"k" * 50: other}
    assert len(differing_paths(deep, other)[0]) <= 120
    many = dict.fromkeys(map(str, range(1_000)))
    assert len(differing_paths(many, {})) == PATHS_LIMIT_COUNT


def test_a_providers_page_tells_what_was_refused_and_what_to_do(signed_in: Any) -> None:
    provider, other = provider_row("default"), provider_row("billing")
    refusal_rows("default", count=1_234)
    text = text_of(signed_in(Role.PLATFORM_OPS), change(provider))
    assert "1,234" in text
    assert BY_REASON["wrong_signature"].next_step in text  # type: ignore[index]
    assert BY_CAUSE[Cause.JSON_REWRITTEN].meaning in text
    assert "sha256… 71 characters" in text
    assert "nothing was refused in the last day" in text_of(signed_in(superuser=True), change(other))


def test_the_overview_counts_recent_duplicates_and_quarantined_events() -> None:
    now = datetime.now(UTC)
    event = event_row()
    for age in (timedelta(minutes=1), timedelta(minutes=59), timedelta(minutes=61)):
        duplicate_row(event, received_at=now - age)
    for age in (timedelta(hours=23), timedelta(hours=25)):
        quarantined_row(event, received_at=now - age)
    cache = SnapshotCache(sources=OverviewSources(), now=lambda: now)
    figures = figures_of(cache.snapshot(Window.MINUTES), may_see=lambda _: True)
    cards = {card.key: card for card in figures.cards}
    assert (cards["duplicates"].figure, cards["duplicates"].is_bad) == ("2", False)
    assert (cards["quarantine"].figure, cards["quarantine"].is_bad) == ("1", True)
    assert Event.objects.count() == 1
