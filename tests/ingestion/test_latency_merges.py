"""Merges of rows: every figure is the same with them and without, and none is read that its rows no longer are."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from autocom.kernel.clock import Clock, ManualClock, us_of
from ingestion import latency_merges, latency_series
from ingestion.latency import Stage
from ingestion.latency_merges import CHANGES_FOR, SPANS, make_merges
from ingestion.latency_series import Grid, StageSeries, TooManyRows, floor, stage_series
from ingestion.models import LatencyFlush, LatencyMerge
from ingestion.pacing import Pace
from ingestion.roll_up import roll_up_hours, roll_up_minutes
from ingestion.selectors import stage_latencies
from tests.support.ageing import age
from tests.support.latencies import flush

pytestmark = pytest.mark.django_db
NOW = datetime(2026, 5, 4, 12, 7, tzinfo=UTC)
CLOCK = ManualClock(wall_us=us_of(NOW))
DAY, HOUR, QUARTER = SPANS
STAGES = [Stage.ACK, Stage.COMMIT]
PACE = Pace(pause=timedelta(0), budget=timedelta(minutes=5))


@pytest.fixture(autouse=True)
def every_merge_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(latency_merges, "FEW_ROWS", 0)


def fresh(step: timedelta, **options: Any) -> dict[Stage, StageSeries]:
    """As a process that has read nothing before: of the four days until now."""
    latency_series.MERGED = latency_series._MergedCells()
    grid = Grid(since=floor(NOW - timedelta(days=4), timedelta(hours=1)), until=NOW, step=step)
    return dict(stage_series(grid=grid, stages=STAGES, charted=STAGES, **options))


@pytest.fixture(autouse=True)
def nothing_merged_before(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(latency_series, "MERGED", latency_series._MergedCells())


def spoil() -> None:
    """Whoever reads a row's own histogram now fails."""
    LatencyFlush.objects.update(histogram=b"none")


def busy(at: datetime, *, count: int = 3, stage: str = "ack") -> list[LatencyFlush]:
    return [flush(at + timedelta(minutes=n % 15), {1_000 + n: 20}, stage=stage) for n in range(count)]


def make(clock: Clock = CLOCK) -> Sequence[Any]:
    return make_merges(pace=PACE, clock=clock)


moments = st.tuples(
    st.integers(0, 4 * 24 * 60 - 1), st.sampled_from(["ack", "commit"]), st.sampled_from(["one", "two"])
)


@given(
    rows=st.lists(moments, max_size=40),
    late=st.lists(moments, max_size=6),
    step=st.sampled_from([timedelta(minutes=5), QUARTER, HOUR, timedelta(hours=6), DAY, timedelta(days=7)]),
    provider=st.sampled_from([None, "one"]),
    is_rolled_up=st.booleans(),
)
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_every_figure_is_the_same_with_merges_and_after_late_flushes(
    rows: list[Any], late: list[Any], step: timedelta, provider: str | None, is_rolled_up: bool
) -> None:
    LatencyFlush.objects.all().delete()
    LatencyMerge.objects.all().delete()
    for number, (minutes, stage, of) in enumerate([*rows, *rows]):
        flush(NOW - timedelta(minutes=minutes), {900 + 50 * number: 7}, stage=stage, provider=of)
    if is_rolled_up:
        roll_up_minutes(pace=PACE, clock=CLOCK)
        roll_up_hours(pace=PACE, clock=CLOCK)
    bare = fresh(step, provider=provider)
    make()
    assert fresh(step, provider=provider) == bare
    for minutes, stage, of in late:
        flush(NOW - timedelta(minutes=minutes), {77_000: 3}, stage=stage, provider=of)
    after = fresh(step, provider=provider)
    LatencyMerge.objects.all().delete()
    assert fresh(step, provider=provider) == after


@pytest.mark.parametrize("step", SPANS)
def test_a_whole_span_is_read_off_its_merge_and_no_row(step: timedelta) -> None:
    busy(NOW - timedelta(days=1, hours=3), count=5)
    busy(NOW - timedelta(hours=30), count=4, stage="commit")
    told = fresh(step)
    make()
    spoil()
    assert fresh(step) == told
    assert told[Stage.ACK].count == 100


def test_shorter_spans_serve_where_the_longer_one_is_not_over() -> None:
    busy(NOW - timedelta(hours=3))
    told = fresh(DAY)
    make()
    spoil()
    assert not LatencyMerge.objects.filter(span=DAY).exists()
    assert fresh(DAY) == told


def test_of_a_span_that_the_range_cuts_the_rows_within_it_alone_count() -> None:
    at = floor(NOW - timedelta(hours=30), HOUR)
    for minute in range(60):
        flush(at + timedelta(minutes=minute), {1_000: 1})
    make()
    latency_series.MERGED = latency_series._MergedCells()
    grid = Grid(since=at + timedelta(minutes=20), until=NOW, step=HOUR)
    assert stage_series(grid=grid, stages=[Stage.ACK])[Stage.ACK].distribution.count == 40


def test_a_merge_whose_rows_changed_is_not_read_and_makes_room_for_the_next() -> None:
    at = NOW - timedelta(days=1, hours=3)
    rows = busy(at)
    make()
    old = set(LatencyMerge.objects.values_list("begin", "span"))
    flush(at, {500_000: 9})
    assert fresh(DAY)[Stage.ACK].max_us == 500_000
    make()
    assert set(LatencyMerge.objects.values_list("begin", "span")) == old
    assert LatencyMerge.objects.count() == len(SPANS)
    spoil()
    assert fresh(DAY)[Stage.ACK].distribution.count == 20 * len(rows) + 9


def test_seconds_that_are_not_rolled_up_yet_are_left() -> None:
    busy(NOW - timedelta(minutes=4), count=3)
    make()
    assert not LatencyMerge.objects.exists()


def test_nothing_is_made_twice_and_one_row_is_its_own_merge() -> None:
    busy(NOW - timedelta(days=2))
    flush(NOW - timedelta(days=3), {1_000: 1})
    assert sum(outcome.rows_count for outcome in make()) == 3 * len(SPANS)
    assert sum(outcome.rows_count for outcome in make()) == 0


def test_days_of_long_ago_are_made_once_and_from_where_the_last_run_ended() -> None:
    for days in (30, 20, 10):
        busy(NOW - timedelta(days=days))
    once = Pace(pause=timedelta(0), budget=timedelta(0))
    assert not any(outcome.is_complete for outcome in make_merges(pace=once, clock=CLOCK))
    make()
    assert LatencyMerge.objects.filter(span=DAY).count() == 3
    LatencyMerge.objects.filter(begin__gt=NOW - timedelta(days=25)).delete()
    make()
    assert LatencyMerge.objects.filter(span=DAY).count() == 3


def test_once_hours_are_all_that_is_kept_shorter_merges_go_and_days_are_of_hours() -> None:
    busy(NOW - timedelta(hours=5))
    busy(NOW - timedelta(hours=8))
    make()
    told = fresh(DAY)
    later = ManualClock(wall_us=us_of(NOW + CHANGES_FOR + timedelta(days=3)))
    roll_up_minutes(pace=PACE, clock=later)
    roll_up_hours(pace=PACE, clock=later)
    make(later)
    assert set(LatencyMerge.objects.values_list("span", flat=True)) == {DAY}
    spoil()
    assert fresh(DAY)[Stage.ACK].distribution == told[Stage.ACK].distribution


def test_what_was_too_much_for_one_page_is_shown_once_it_is_merged(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(latency_series, "MERGED_AT_MOST", 4)
    busy(NOW - timedelta(days=2), count=9)
    with pytest.raises(TooManyRows):
        fresh(DAY)
    make()
    assert fresh(DAY)[Stage.ACK].count == 180


def test_the_summary_of_a_long_range_is_the_same_with_merges_and_reads_no_row_of_theirs() -> None:
    since = NOW - timedelta(days=3)
    for hours in (5, 6, 30, 50):
        busy(NOW - timedelta(hours=hours))
    told = stage_latencies(since=since, until=NOW)
    make()
    assert stage_latencies(since=since, until=NOW) == told
    spoil()
    assert stage_latencies(since=since, until=NOW) == told
    assert (told[0].count, told[0].within_slo_count) == (240, 240)


def test_rows_that_go_between_two_queries_are_read_again(monkeypatch: pytest.MonkeyPatch) -> None:
    busy(NOW - timedelta(hours=5))
    rows = LatencyFlush.objects.filter(stage="ack")

    def rolled_up_meanwhile(*_: Any, **__: Any) -> list[Any]:
        roll_up_hours(pace=PACE, clock=ManualClock(wall_us=us_of(NOW + timedelta(days=9))))
        return []

    roll_up_minutes(pace=PACE, clock=CLOCK)
    monkeypatch.setattr(latency_merges, "take_merges", rolled_up_meanwhile)
    assert latency_merges.merged_before(rows) is None
    assert latency_merges.merged_of(rows)[0].total_count == 60


def test_more_rows_than_can_be_counted_for_one_page_are_refused_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    busy(NOW - timedelta(days=2), count=9)
    make()
    monkeypatch.setattr(latency_series, "ROWS_AT_MOST", 8)
    with pytest.raises(TooManyRows):
        fresh(DAY)


def test_merges_go_with_the_term_of_their_figures() -> None:
    today = datetime.now(UTC).replace(second=0, microsecond=0)
    LatencyMerge.objects.create(key=b"k" * 32, span=DAY, begin=today, histogram=b"")
    assert age(days=399).removed == {}
    assert age(days=401).removed == {"latency merges": 1}
