"""The way of an event on one axis: each step with its time, each missing one as a gap with a name."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.urls import reverse

from console.charts.timeline import Span, timeline
from console.lineage import Step, spans_of
from console.roles import Role
from ingestion.buffer.store import LaneBuffer
from ingestion.models import SetAsideAttempt
from tests.console.rows import batch_row, dead_letter_row, event_row
from tests.support.lanes import LaneKit

pytestmark = pytest.mark.django_db

START = datetime(2026, 5, 3, 9, 12, 4, tzinfo=UTC)


def step(name: str, after_ms: float | None, what: str = "") -> Step:
    return Step(name, None if after_ms is None else START + timedelta(milliseconds=after_ms), what)


def told(*steps: Step) -> list[tuple[str, str, bool]]:
    return [(span.name, span.told, span.is_gap) for span in spans_of(steps, now=START + timedelta(seconds=60))]


def test_each_step_is_a_bar_with_the_time_that_it_took() -> None:
    way = [step("received", 0), step("accepted", 3), step("claimed", 44), step("committed", 56), step("sealed", 2_056)]
    assert told(*way) == [
        ("Delivery", "3.00 ms", False),
        ("Lane wait", "41.0 ms", False),
        ("Batch", "12.0 ms", False),
        ("Seal", "2.00 s", False),
    ]


def test_what_is_accepted_and_not_committed_is_a_gap_up_to_now() -> None:
    way = [step("received", 0), step("accepted", 3), step("committed", None, "waiting on lane 0")]
    assert told(*way)[-1] == ("No record between accepted and committed", "60.00 s so far", True)


def test_a_step_that_nobody_recorded_is_named_as_a_gap() -> None:
    assert told(step("received", 0), step("claimed", 50)) == [
        ("No record between received and claimed", "50.0 ms", True)
    ]
    aged = [step("received", 0), step("no record", None, "the letter has aged out"), step("retry asked", 5_000)]
    assert told(*aged) == [("No record between received and retry asked", "5.00 s", True)]


def test_times_of_two_clocks_that_disagree_say_so_and_draw_nothing_backwards() -> None:
    spans = spans_of([step("received", 0), step("accepted", -2)], now=START)
    assert "two clocks disagree" in spans[0].told
    drawn = timeline(name="x", spans=spans, objective_ms=120, now=START)
    assert drawn is not None
    assert all(row.width > 0 and row.x >= 0 for drawing in drawn.drawings for row in drawing.rows)


@pytest.mark.parametrize("last_ms", [0.001, 1, 119, 120, 500, 86_400_000])
def test_every_bar_and_the_objective_lie_inside_the_drawing(last_ms: float) -> None:
    span = Span(name="Delivery", start=START, end=START + timedelta(milliseconds=last_ms), told="x")
    drawn = timeline(name="x", spans=[span, span], objective_ms=120, now=START)
    assert drawn is not None
    for drawing in drawn.drawings:
        assert 0 <= drawing.objective.x <= drawing.width
        for row in drawing.rows:
            assert row.x >= 0
            assert row.x + row.width <= drawing.width
            assert row.bar_y + drawing.bar_height <= drawing.baseline <= drawing.height


def test_only_a_delivery_above_the_objective_is_drawn_as_bad() -> None:
    spans = spans_of([step("received", 0), step("accepted", 121), step("claimed", 900)], now=START)
    assert [span.is_over for span in spans] == [True, False]
    spans = spans_of([step("received", 0), step("accepted", 120)], now=START)
    assert [span.is_over for span in spans] == [False]


def page_of(client: Any, row: Any) -> str:
    response = client.get(reverse(f"admin:ingestion_{row._meta.model_name}_change", args=[row.pk]))
    assert response.status_code == 200
    return str(response.content.decode())


def test_the_chart_and_the_list_say_the_same_on_the_page_of_an_event(signed_in: Any) -> None:
    batch = batch_row(claimed_at=START + timedelta(milliseconds=44), committed_at=START + timedelta(milliseconds=56))
    event = event_row(received_at=START, accepted_at=START + timedelta(milliseconds=3), batch=batch)
    text = page_of(signed_in(Role.DRI), event)
    for part in ("Delivery: 3.00 ms", "Lane wait: 41.0 ms", "Batch: 12.0 ms", "Waits for its seal"):
        assert f">{part}" in text, part
    assert text.count("<svg class=") >= 2  # one for a phone
    assert re.search(r"console-tick--objective[^>]*>120 ms<", text)


def test_every_attempt_of_a_letter_is_on_its_axis(signed_in: Any) -> None:
    letter = dead_letter_row(received_at=START, attempt_count=3)
    for number in (2, 3):
        asked = START + timedelta(minutes=number)
        ended = asked + timedelta(seconds=1) if number == 2 else None
        outcome = SetAsideAttempt.Outcome.FAILED if number == 2 else SetAsideAttempt.Outcome.UNDER_WAY
        SetAsideAttempt.objects.create(
            place="dead_letter", event_id=letter.pk, number=number, asked_at=asked, settled_at=ended, outcome=outcome
        )
    text = page_of(signed_in(Role.DRI), letter)
    assert "attempt 2 ended: failed" in text
    assert "attempt 3" in text
    assert "not committed yet" in text


# --- follow ---


def followed(client: Any, asked: object) -> str:
    response = client.get(reverse("admin:follow"), {"id": str(asked)})
    assert response.status_code == 200
    return str(response.content.decode())


def test_an_event_that_waits_on_its_lane_is_followed_to_the_gap(signed_in: Any, buffer: LaneBuffer) -> None:
    receipt = LaneKit(buffer=buffer).receive("evt-1")
    text = followed(signed_in(Role.DRI), receipt.event_id)
    assert "No record between accepted and committed" in text
    assert "its drain job is due" in text


def test_a_permalink_of_an_event_that_is_not_stored_leads_to_what_is_known_of_it(
    signed_in: Any, buffer: LaneBuffer
) -> None:
    receipt = LaneKit(buffer=buffer).receive("evt-1")
    client = signed_in(Role.DRI)
    answer = client.get(f"/admin/ingestion/event/{receipt.event_id}/change/", follow=True)
    assert "waiting on lane 0" in answer.content.decode().lower()


def test_what_was_never_accepted_is_told_and_a_silent_redis_makes_it_unknown(
    signed_in: Any, buffer: LaneBuffer, monkeypatch: Any
) -> None:
    client = signed_in(Role.DRI)
    assert "No trace of this id" in followed(client, "nothing-like-it")
    silent = LaneBuffer(client=type(buffer.client)(host="127.0.0.1", port=1, socket_connect_timeout=0.1))
    monkeypatch.setattr("console.pages.follow.lane_buffer", lambda: silent)
    text = followed(client, "nothing-like-it")
    assert "No trace of this id" not in text
    assert "UNKNOWN" in text


@pytest.mark.parametrize("asked", ["\x00", "x" * 5_000, "'\"><script>alert(1)</script>", "\u202e"])
def test_an_odd_id_breaks_nothing(signed_in: Any, buffer: LaneBuffer, asked: str) -> None:
    assert "<script>alert" not in followed(signed_in(Role.DRI), asked)


def test_following_takes_the_right_to_read_events(signed_in: Any) -> None:
    assert signed_in(Role.LEADERSHIP).get(reverse("admin:follow")).status_code == 403
