"""The overview says what it knows and UNKNOWN for the rest; a silent source silences no other."""

import threading
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import OperationalError
from django.urls import reverse

from autocom.kernel.clock import us_of
from console.access import Permission
from console.pages.overview_figures import OverviewFiguresContent, figures_of, share_within
from console.pages.overview_gates import GatesRead, gates_read
from console.pages.overview_snapshot import OverviewSources, SnapshotCache, Window
from console.promises import Promises
from console.roles import Role
from evidence.status.budgets import Budget
from ingestion.buffer.store import BufferUnavailable, LaneBuffer
from ingestion.latency import Stage
from ingestion.models import Lane
from ingestion.promises import PromiseStanding
from ingestion.selectors import LaneState, StageLatency, WorkerState
from tests.console.rows import dead_letter_row, event_row, latencies
from tests.ingestion.test_autoscale import STANDING
from tests.support.resting import rest

NOW = datetime(2026, 5, 3, 10, 0, tzinfo=UTC)

BUDGET = Budget(
    name="ack_latency", valid=4_000, bad=1, remaining_pct=99.5, unknown_seconds=0, state="OK", is_frozen=False
)


def stage(name: str, **fields: Any) -> StageLatency:
    given: dict[str, Any] = {
        "stage": name,
        "count": 4_000,
        "within_slo_count": 3_999,
        "p50_ms": 4.0,
        "p95_ms": 11.25,
        "p99_ms": 20.0,
        "p999_ms": None,
        "max_ms": 140.0,
        "buckets": ((10.0, 3_000), (120.0, 999), (200.0, 1), (float("inf"), 0)),
    }
    return StageLatency(**{**given, **fields})


def promises(open_count: int = 0, why_unknown: str = "", **fields: Any) -> Promises:
    standing = None if why_unknown else PromiseStanding(whole_us=us_of(NOW), checked_count=5_000, **fields)
    return Promises(open_count=open_count, standing=standing, why_unknown=why_unknown, now_us=us_of(NOW))


def sources(**others: Any) -> OverviewSources:
    well = OverviewSources(
        stage_latencies=lambda **_: [stage(name) for name in ("ack", "queue", "commit", "end_to_end")],
        lane_states=lambda: [LaneState(0, 0, None, "", "idle"), LaneState(1, 7, 1_500.0, "w1", "draining")],
        ingest_rate_per_second=lambda *, last: 812.4 if last.total_seconds() == 10 else 790.0,
        workers=lambda: [WorkerState("w1", "drain", "busy", NOW - timedelta(seconds=5))],
        scaling=lambda: None,
        open_dead_letter_count=lambda: 0,
        duplicate_count=lambda **_: 12,
        quarantined_count=lambda **_: 0,
        has_events=lambda: True,
        promises=lambda: promises(),
        gates=lambda: GatesRead(at=NOW, gates=[], budgets=[BUDGET], alert_count=0),
    )
    return replace(well, **others)


def content(**others: Any) -> OverviewFiguresContent:
    cache = SnapshotCache(sources=sources(**others), now=lambda: NOW)
    return figures_of(cache.snapshot(Window.MINUTES), may_see=lambda _: True)


def card(figures: OverviewFiguresContent, key: str) -> Any:
    return next(card for card in figures.cards if card.key == key)


def raising(error: Exception) -> Any:
    def source(**_: Any) -> Any:
        raise error

    return source


def test_a_healthy_system_needs_no_attention() -> None:
    figures = content()
    assert (figures.status, figures.needs_attention) == ("Nothing needs attention", False)
    assert card(figures, "rate").figure == "812/s"
    assert (card(figures, "backlog").figure, card(figures, "backlog").detail) == ("7", "oldest 1 s, in 1 lane")
    assert card(figures, "ack").figure == "11.2 ms"
    assert card(figures, "ack").detail == "99.97 % of 4,000 within 120 ms"
    assert not any(card.is_bad for card in figures.cards)


def test_redis_down_makes_backlog_and_workers_unknown_and_leaves_the_rest() -> None:
    down = raising(BufferUnavailable("down"))
    figures = content(lane_states=down, workers=down)
    for key in ("backlog", "workers"):
        assert card(figures, key).figure == "UNKNOWN"
        assert card(figures, key).detail == "Redis cannot be asked"
    assert figures.lanes_problem == figures.workers_problem == "Redis cannot be asked"
    assert card(figures, "ack").figure == "11.2 ms"
    assert figures.needs_attention
    assert "Redis cannot be asked" in figures.status


def test_postgresql_down_makes_its_figures_unknown_and_never_zero() -> None:
    down = raising(OperationalError("down"))
    figures = content(stage_latencies=down, ingest_rate_per_second=down, open_dead_letter_count=down, has_events=down)
    for key in ("rate", "ack", "end_to_end", "dead_letters"):
        assert card(figures, key).figure == "UNKNOWN", key
    assert figures.stages == []
    assert not figures.is_empty, "nobody knows whether there are events"
    assert card(figures, "backlog").figure == "7"


def test_a_broken_promise_needs_a_person_now() -> None:
    figures = content(promises=lambda: promises(open_count=2))
    assert card(figures, "promises").figure == "2"
    assert card(figures, "promises").is_bad
    assert figures.status == "2 broken promises"


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"late_lanes": "3"}, "Events wait for over a minute on lane 3"),
        ({"gaps": "lane 1 epoch 2 sequences 3 to 4"}, "Gap: lane 1 epoch 2 sequences 3 to 4"),
        ({"lost_lanes": "0, 1"}, "Redis has lost the data of lane 0, 1"),
    ],
)
def test_what_is_late_or_missing_on_a_lane_is_said_apart_from_broken_promises(
    fields: dict[str, Any], told: str
) -> None:
    figures = content(promises=lambda: promises(**fields))
    assert (card(figures, "promises").figure, card(figures, "promises").is_bad, figures.status) == ("0", True, told)


def test_promises_that_nobody_checks_are_unknown_and_never_green() -> None:
    figures = content(promises=lambda: promises(why_unknown="PostgreSQL cannot be asked"))
    assert card(figures, "promises").figure == "UNKNOWN"
    assert figures.status == "Promises are not checked: PostgreSQL cannot be asked"
    figures = content(promises=lambda: promises(open_count=1, why_unknown="silent"))
    assert (card(figures, "promises").figure, card(figures, "promises").is_bad) == ("1", True)
    figures = content(promises=raising(BufferUnavailable("down")))
    assert card(figures, "promises").figure == "UNKNOWN"


def test_an_unknown_rate_is_unknown() -> None:
    assert card(content(ingest_rate_per_second=lambda **_: None), "rate").figure == "UNKNOWN"


def test_a_sample_too_small_for_a_percentile_shows_none() -> None:
    few = [stage("ack", count=12, within_slo_count=12, p95_ms=None, p99_ms=None)]
    figures = content(stage_latencies=lambda **_: few)
    assert (card(figures, "ack").figure, card(figures, "ack").detail) == ("UNKNOWN", "12 events: too few")


@pytest.mark.parametrize("state", ["full", "unattended", "backing_off"])
def test_a_stuck_lane_is_named(state: str) -> None:
    figures = content(lane_states=lambda: [LaneState(3, 9, 60_000.0, "", state)])
    assert f"Lane 3 {state.replace('_', ' ')}" in figures.status
    assert card(figures, "backlog").is_bad
    assert figures.lanes[0].is_stuck


def test_the_autoscalers_numbers_and_its_last_change_are_told() -> None:
    changed = replace(STANDING, changed_us=us_of(NOW - timedelta(seconds=90)))
    said = content(scaling=lambda: changed).scaling
    assert said.startswith("Autoscaler: 3 wanted, 2 running, 1 to 4 allowed; lag 1200 ms.")
    assert said.endswith("Last change 1 min ago, 2 to 3: lag 1200 ms.")
    assert "Last change" not in content(scaling=lambda: replace(STANDING, changed_us=0)).scaling
    assert content(scaling=lambda: None).scaling == ""


def test_more_workers_wanted_than_may_run_needs_attention() -> None:
    figures = content(scaling=lambda: replace(STANDING, is_at_maximum=1, wanted_count=4))
    assert figures.status == "All 4 workers that may run are not enough"


def test_workers_without_a_fresh_heartbeat_are_not_alive() -> None:
    old = [
        WorkerState("w1", "drain", "busy", NOW - timedelta(seconds=91)),
        WorkerState("w2", "drain", "idle", None),
        WorkerState("w3", "drain", "idle", NOW - timedelta(seconds=89)),
    ]
    assert card(content(workers=lambda: old), "workers").figure == "1"
    assert "No worker is alive" in content(workers=lambda: old[:2]).status
    assert "No worker is alive" in content(workers=list).status


def test_a_p95_above_the_objective_is_bad_and_one_at_it_is_not() -> None:
    assert card(content(stage_latencies=lambda **_: [stage("ack", p95_ms=120.0)]), "ack").is_bad is False
    assert card(content(stage_latencies=lambda **_: [stage("ack", p95_ms=120.1)]), "ack").is_bad is True


def test_a_chart_is_judged_by_the_promise_about_its_own_stage_and_without_one_by_none() -> None:
    slow = ((120.0, 3_000), (500.0, 999), (60_000.0, 0), (float("inf"), 1))

    def charts(buckets: Any) -> dict[str, Any]:
        figures = content(stage_latencies=lambda **_: [stage(name, buckets=buckets) for name in ("ack", "end_to_end")])
        return {part.key: part.chart for part in figures.charts}

    found = charts(slow)
    over = {name: [row.label for row in chart.rows if row.is_over] for name, chart in found.items()}
    assert over == {"ack": ["120 ms to 500 ms", "over 60 s"], "end_to_end": ["over 60 s"]}
    assert [found[name].objective for name in over] == ["120 ms", "60 s"]
    assert found["ack"].description.startswith("75.00 % within 120 ms, ")
    assert found["end_to_end"].description.startswith("99.97 % within 60 s, ")
    unpromised = charts(((120.0, 3_000), (500.0, 1_000), (float("inf"), 0)))["end_to_end"]
    assert (unpromised.objective, [row for row in unpromised.rows if row.is_over]) == ("", [])
    assert unpromised.description.startswith("P95 ")


def test_a_share_is_all_only_when_it_is_all() -> None:
    assert share_within(999_999, 1_000_000) == "99.99 %"
    assert share_within(1_000_000, 1_000_000) == "100.00 %"
    assert share_within(0, 5) == "0.00 %"
    assert share_within(0, 0) == "UNKNOWN"


def test_a_reader_gets_links_only_to_pages_that_open() -> None:
    cache = SnapshotCache(sources=sources(), now=lambda: NOW)
    assert not any(card.link for card in figures_of(cache.snapshot(Window.HOUR), may_see=lambda _: False).cards)


def counting(asked: list[int]) -> Any:
    def has_events() -> bool:
        asked.append(1)
        return True

    return has_events


def test_many_tabs_in_one_second_ask_each_source_once() -> None:
    asked: list[int] = []
    cache = SnapshotCache(sources=sources(has_events=counting(asked)), now=lambda: NOW)
    tabs = [threading.Thread(target=cache.snapshot, args=(Window.MINUTES,)) for _ in range(8)]
    for tab in tabs:
        tab.start()
    for tab in tabs:
        tab.join()
    assert len(asked) == 1


def test_figures_are_read_again_after_a_second_and_when_the_clock_was_set_back() -> None:
    asked: list[int] = []
    times = [NOW, NOW + timedelta(seconds=0.9), NOW + timedelta(seconds=1), NOW - timedelta(hours=1)]
    moments = iter(times)
    cache = SnapshotCache(sources=sources(has_events=counting(asked)), now=lambda: next(moments))
    counts = []
    for _ in times:
        cache.snapshot(Window.MINUTES)
        counts.append(len(asked))
    assert counts == [1, 1, 2, 3]


def test_percentiles_are_merged_less_often_but_a_failed_reading_is_repeated_at_once() -> None:
    asked: list[datetime] = []
    answers = iter([OperationalError("down"), None, None])

    def latencies_now(*, since: datetime, until: datetime) -> list[StageLatency]:
        asked.append(until)
        if isinstance(answer := next(answers), Exception):
            raise answer
        return [stage("ack")]

    seconds = [0, 2, 4, 6, 8]
    moments = iter([NOW + timedelta(seconds=second) for second in seconds])
    cache = SnapshotCache(sources=sources(stage_latencies=latencies_now), now=lambda: next(moments))
    for _ in seconds:
        cache.snapshot(Window.MINUTES)
    assert [(moment - NOW).seconds for moment in asked] == [0, 2, 8]


@pytest.mark.django_db
def test_the_page_and_its_poll_show_what_is_stored(signed_in: Any) -> None:
    event_row()
    dead_letter_row()
    latencies(Stage.ACK, [5.0] * 300 + [130.0])
    client = signed_in(Role.DRI)
    page = client.get(reverse("admin:index"))
    poll = client.get(reverse("admin:overview_figures"))
    for response in (page, poll):
        text = response.content.decode()
        assert "99.66 % of 301 within 120 ms" in text
        assert "1 open dead letter" in text
        assert "120 ms to 200 ms (over 120 ms)" in text
    assert "no-store" in poll["Cache-Control"]
    assert "<html" not in poll.content.decode()


@pytest.mark.django_db
def test_an_empty_system_says_what_to_do(signed_in: Any) -> None:
    assert "No events yet." in signed_in(Role.DRI).get(reverse("admin:index")).content.decode()


@pytest.mark.django_db
@pytest.mark.parametrize("last", ["", "nonsense", "1h", "15m", "\x00"])
def test_an_odd_window_is_the_shortest_one(signed_in: Any, last: str) -> None:
    response = signed_in(Role.DRI).get(reverse("admin:index"), {"last": last})
    assert response.status_code == 200
    assert response.context["asked_window"] == (last if last in ("1h", "15m") else "5m")


def resting(**fields: Any) -> LaneState:
    given: dict[str, Any] = {
        "attempt_count": 4,
        "resting_since": NOW - timedelta(minutes=3),
        "next_attempt_at": NOW + timedelta(seconds=12),
        "last_error": "OperationalError: the server\u202e is gone",
    }
    return LaneState(3, 9, 60_000.0, "", "backing_off", **{**given, **fields})


def test_a_resting_lane_shows_attempts_since_when_next_attempt_and_error() -> None:
    shown = content(lane_states=lambda: [resting()]).lanes[0].rest
    assert shown is not None
    assert shown.attempts == "4 attempts"
    assert "09:57:00.000 UTC" in shown.since
    assert "3 min ago" in shown.since
    assert "10:00:12.000 UTC" in shown.next_attempt
    assert "in 12 s" in shown.next_attempt
    assert shown.error == "OperationalError: the server\\u202e is gone"
    assert content().lanes[0].rest is None


def test_an_attempt_that_is_due_or_under_way_has_no_time_in_the_past() -> None:
    due = content(lane_states=lambda: [resting(next_attempt_at=NOW)]).lanes[0].rest
    assert due is not None
    assert due.next_attempt.startswith("due")
    busy = replace(resting(), holder="worker-1")
    under_way = content(lane_states=lambda: [busy]).lanes[0].rest
    assert under_way is not None
    assert under_way.next_attempt == "under way, by worker-1"


@pytest.mark.django_db
def test_overview_and_lanes_show_a_resting_lane_and_no_secret(signed_in: Any, buffer: LaneBuffer) -> None:
    Lane.objects.create(number=0)
    Lane.objects.create(number=1)
    rest(buffer, lane=1, attempts=2)
    client = signed_in(Role.DRI)
    one = reverse("admin:ingestion_lane_change", args=[1])
    for address in (reverse("admin:index"), reverse("admin:ingestion_lane_changelist"), one):
        text = client.get(address).content.decode()
        assert "2 attempts" in text, address
        assert "Connection refused" in text, address
        assert "in 5" in text or "in 1 min" in text, address
        assert "hunter2" not in text, address


@pytest.mark.django_db
def test_the_lanes_page_asks_redis_once_and_says_when_it_cannot(
    signed_in: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    Lane.objects.create(number=0)
    Lane.objects.create(number=1)
    asked: list[int] = []

    def silent() -> list[LaneState]:
        asked.append(1)
        raise BufferUnavailable("down")

    monkeypatch.setattr("console.admin.lanes.lane_states", silent)
    text = signed_in(Role.DRI).get(reverse("admin:ingestion_lane_changelist")).content.decode()
    assert text.count("Redis cannot be asked") == 2
    assert asked == [1]


# ---- gates, budgets, alerts


def test_only_a_passed_gate_is_good_and_one_without_a_bundle_is_unknown(transactional_db: None) -> None:
    figures = content(gates=gates_read)
    gate = card(figures, "gate_a")
    assert (gate.figure, gate.is_unknown, gate.detail) == ("UNKNOWN", True, "no run was judged yet")
    assert [each.status.spec.name for each in figures.gates] == ["a"], "the smoke gate enables nothing"


def test_the_objective_with_the_least_budget_is_shown_and_a_spent_one_needs_attention() -> None:
    worse = replace(BUDGET, name="availability", remaining_pct=-3.0, state="BREACHED", is_frozen=True)
    figures = content(gates=lambda: GatesRead(at=NOW, gates=[], budgets=[BUDGET, worse], alert_count=2))
    budget = card(figures, "budget")
    assert (budget.figure, budget.is_bad) == ("-3.0 %", True)
    assert "availability" in budget.detail
    assert figures.status == "2 open alerts; The error budget of availability is spent"


def test_a_budget_that_nobody_measured_is_unknown_and_never_whole() -> None:
    unmeasured = replace(BUDGET, valid=0, bad=0, remaining_pct=None, state="UNKNOWN")
    figures = content(gates=lambda: GatesRead(at=NOW, gates=[], budgets=[unmeasured], alert_count=0))
    assert card(figures, "budget").figure == "UNKNOWN"
    beside = content(gates=lambda: GatesRead(at=NOW, gates=[], budgets=[unmeasured, BUDGET], alert_count=0))
    assert card(beside, "budget").figure == "99.5 %", "of what was measured the least"


def test_gates_that_cannot_be_asked_are_unknown_and_asked_again_at_once() -> None:
    asked: list[int] = []

    def down() -> GatesRead:
        asked.append(1)
        raise OperationalError("down")

    now = [NOW]
    cache = SnapshotCache(sources=sources(gates=down), now=lambda: now[0])
    for _ in range(2):
        figures = figures_of(cache.snapshot(Window.MINUTES), may_see=lambda _: True)
        assert card(figures, "gate").figure == "UNKNOWN"
        assert figures.gates_problem == "PostgreSQL cannot be asked"
        now[0] += timedelta(seconds=2)
    assert len(asked) == 2


def test_gates_are_read_again_after_half_a_minute_and_not_with_each_poll() -> None:
    asked: list[int] = []

    def read() -> GatesRead:
        asked.append(1)
        return GatesRead(at=NOW, gates=[], budgets=[], alert_count=0)

    now = [NOW]
    cache = SnapshotCache(sources=sources(gates=read), now=lambda: now[0])
    for _ in range(10):
        cache.snapshot(Window.MINUTES)
        now[0] += timedelta(seconds=5)
    assert len(asked) == 2


def test_who_may_not_read_gates_gets_no_criteria_and_no_link(transactional_db: None) -> None:
    cache = SnapshotCache(sources=sources(gates=gates_read), now=lambda: NOW)
    assert figures_of(cache.snapshot(Window.MINUTES), may_see=lambda _: True).gates
    figures = figures_of(cache.snapshot(Window.MINUTES), may_see=lambda permission: permission != Permission.GATE_READ)
    assert figures.gates == []
    assert card(figures, "gate_a").link == card(figures, "budget").link == ""
