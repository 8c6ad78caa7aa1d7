"""A range of latencies in cells: every figure equals the one computed from the raw durations, whatever the rows."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from itertools import pairwise
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from autocom.kernel.clock import ManualClock, us_of
from ingestion import latency_series
from ingestion.latency import HIGHEST_US, SLO_US, Stage, new_histogram
from ingestion.latency_distribution import Distribution, logarithmic_edges_us
from ingestion.latency_series import (
    BAND_EDGES_US,
    CELLS_AT_MOST,
    LINES,
    Grid,
    RolledUpMeanwhile,
    StageSeries,
    TooManyRows,
    grid_of,
    last_measured,
    stage_series,
)
from ingestion.models import HOUR, MINUTE, LatencyFlush
from ingestion.replay.percentiles import samples_needed
from ingestion.roll_up import roll_up_hours, roll_up_minutes
from tests.support.ageing import AT_ONCE
from tests.support.latencies import flush

NOW = datetime(2026, 5, 4, 12, 0, tzinfo=UTC)
STEP = timedelta(minutes=5)
durations = st.lists(st.integers(0, 2 * HIGHEST_US) | st.integers(100_000, 140_000), min_size=1, max_size=40)
many_rows = st.lists(
    st.tuples(st.integers(0, 89), st.sampled_from(["ack", "commit"]), st.sampled_from(["one", "two"]), durations),
    max_size=25,
)


@pytest.fixture(autouse=True)
def nothing_merged_before(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(latency_series, "MERGED", latency_series._MergedCells())


def grid(minutes: int = 90, *, until: datetime = NOW, step: timedelta = STEP) -> Grid:
    return Grid(since=until - timedelta(minutes=minutes), until=until, step=step)


def ack(found: Grid | None = None, **options: Any) -> StageSeries:
    return stage_series(grid=found or grid(), stages=[Stage.ACK], charted=[Stage.ACK], **options)[Stage.ACK]


def recorded(durations_us: Sequence[int]) -> list[int]:
    return sorted(min(max(duration_us, 1), HIGHEST_US) for duration_us in durations_us)


def is_percentile(found: int | None, percent: Fraction, durations_us: Sequence[int]) -> bool:
    """The nearest rank of the raw durations within the histogram's error, or None where they are too few."""
    ordered = recorded(durations_us)
    if len(ordered) < samples_needed(percent):
        return found is None
    exact = ordered[max(math.ceil(len(ordered) * percent / 100), 1) - 1]
    return found is not None and exact <= found <= exact * 1.001 + 1


@pytest.mark.django_db
@given(rows=many_rows, provider=st.sampled_from([None, "one"]), is_rolled_up=st.booleans())
@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_every_figure_is_the_one_of_the_raw_durations(
    rows: list[tuple[int, str, str, list[int]]], provider: str | None, is_rolled_up: bool
) -> None:
    LatencyFlush.objects.all().delete()
    by_cell: dict[tuple[str, datetime], list[int]] = defaultdict(list)
    for minute, stage, of_provider, durations_us in rows:
        at = NOW - timedelta(minutes=90 - minute)
        flush(at, durations_us, stage=stage, provider=of_provider)
        if provider in (None, of_provider):
            by_cell[stage, NOW - timedelta(minutes=90 - minute // 5 * 5)] += durations_us
    if is_rolled_up:
        roll_up_minutes(pace=AT_ONCE, clock=ManualClock(wall_us=us_of(NOW)))
    stages = [Stage.ACK, Stage.COMMIT]
    found = stage_series(grid=grid(), stages=stages, charted=stages, provider=provider)
    for stage in stages:
        raw = [each for (of_stage, _), part in by_cell.items() if of_stage == stage for each in part]
        of_stage = found[stage]
        assert of_stage.count == of_stage.distribution.count == len(raw)
        assert of_stage.within_slo_count == sum(1 for each in raw if each <= SLO_US)
        assert of_stage.max_us == max(raw, default=0)
        assert of_stage.clamped_count == sum(1 for each in raw if each > HIGHEST_US)
        assert all(is_percentile(of_stage.distribution.percentile_us(each), each, raw) for each in LINES)
        assert len(of_stage.cells) == 18
        for cell in of_stage.cells:
            part = by_cell.get((stage, cell.begin), [])
            assert (cell.count, cell.max_us) == (len(part), max(part, default=0))
            if not part:
                assert cell.shape is None
                continue
            assert cell.shape is not None
            assert sum(cell.shape.bands) == len(part)
            slo = BAND_EDGES_US.index(SLO_US)
            assert sum(cell.shape.bands[: slo + 1]) == sum(1 for each in part if each <= SLO_US)
            assert all(map(is_percentile, cell.shape.lines_us, LINES, [part] * len(LINES)))


@given(st.lists(st.integers(1, HIGHEST_US), max_size=300), st.sampled_from([6, 12]))
@settings(max_examples=60, deadline=None)
def test_between_edges_nothing_is_lost_and_120_ms_is_exact(durations_us: list[int], steps: int) -> None:
    histogram = new_histogram()
    for duration_us in durations_us:
        histogram.record_value(duration_us)
    edges_us = logarithmic_edges_us(steps_per_decade=steps)
    within = sum(1 for each in durations_us if each <= SLO_US)
    counts = Distribution.of(histogram).between(edges_us, within_slo_count=within)
    assert SLO_US in edges_us
    assert all(left < right for left, right in pairwise(edges_us))
    assert (sum(counts), min(counts) >= 0) == (len(durations_us), True)
    assert sum(counts[: edges_us.index(SLO_US) + 1]) == within


@pytest.mark.django_db
def test_a_missing_minute_is_a_cell_without_figures_and_its_neighbours_are_untouched() -> None:
    for minutes in (5, 3, 2):
        flush(NOW - timedelta(minutes=minutes), {10_000: 30})
    cells = ack(grid(5, step=timedelta(minutes=1))).cells
    assert [cell.count for cell in cells] == [30, 0, 30, 30, 0]
    assert [cell.shape is None for cell in cells] == [False, True, False, False, True]
    assert [cell.begin.minute for cell in cells] == [55, 56, 57, 58, 59]


@pytest.mark.django_db
def test_a_cell_tells_of_how_many_of_its_minutes_there_are_figures() -> None:
    for minutes, provider in ((5, "one"), (5, "two"), (3, "one")):
        flush(NOW - timedelta(minutes=minutes), [10_000], provider=provider)
    flush(NOW - timedelta(minutes=65), [10_000], process=HOUR)
    series = ack()
    assert (series.cells[-1].minute_count, series.cells[-1].count) == (2, 3)
    assert next(cell for cell in series.cells if cell.begin.hour == 10 and cell.count).minute_count is None


@pytest.mark.django_db
def test_what_is_kept_by_the_hour_is_read_by_whole_hours_and_nothing_twice() -> None:
    long_ago = datetime(2026, 5, 1, 9, 0, tzinfo=UTC)
    for minutes in (0, 30, 59, 60):
        flush(long_ago + timedelta(minutes=minutes), [10_000 + minutes])
    clock = ManualClock(wall_us=us_of(NOW))
    roll_up_minutes(pace=AT_ONCE, clock=clock)
    roll_up_hours(pace=AT_ONCE, clock=clock)
    assert set(LatencyFlush.objects.values_list("process", flat=True)) == {HOUR}
    found = grid_of(since=long_ago + timedelta(minutes=40), until=long_ago + timedelta(minutes=50), now=NOW)
    assert (found.since, found.until) == (long_ago, long_ago + timedelta(hours=1))
    assert ack(found).count == 3


@given(back=st.integers(0, 400 * 1_440), length=st.integers(1, 400 * 1_440), shift=st.integers(0, 59))
@settings(max_examples=200, deadline=None)
def test_a_grid_covers_what_was_asked_in_few_cells_that_touch(back: int, length: int, shift: int) -> None:
    since = NOW - timedelta(minutes=back, seconds=shift)
    until = since + timedelta(minutes=length)
    found = grid_of(since=since, until=until, now=NOW)
    cells = list(found.cells())
    assert len(cells) <= CELLS_AT_MOST
    assert (cells[0][0], cells[-1][1]) == (found.since, found.until)
    assert all(left[1] == right[0] for left, right in pairwise(cells))
    assert found.since <= since < found.until
    assert found.until >= min(until, NOW)
    assert found.until - NOW < timedelta(hours=1)
    if since < NOW - timedelta(days=2):
        assert found.step >= timedelta(hours=1)
        assert found.since.minute == 0


@pytest.mark.django_db
def test_the_number_of_queries_is_the_same_for_one_row_and_for_hundreds() -> None:
    flush(NOW - timedelta(minutes=1), [1_000])
    with CaptureQueriesContext(
        connection,
    ) as few:
        ack()
    for minutes in range(1, 90):
        for stage in Stage:
            for provider in ("one", "two"):
                flush(NOW - timedelta(minutes=minutes), [1_000], stage=stage.value, provider=provider)
    with CaptureQueriesContext(connection) as many:
        stage_series(grid=grid(), stages=list(Stage), charted=[Stage.ACK])
    assert len(few) == len(many) == 3


@pytest.mark.django_db
def test_rows_that_were_merged_before_are_not_read_again_and_later_ones_count() -> None:
    flush(NOW - timedelta(minutes=7), {10_000: 30})
    flush(NOW - timedelta(minutes=2), {10_000: 30})
    first = ack()
    with CaptureQueriesContext(connection) as again:
        assert ack() == first
    assert len(again) == 2  # how many rows, and their counters: no histogram
    flush(NOW - timedelta(minutes=2), {500_000: 70})
    second = ack()
    assert (second.count, second.distribution.percentile_us(Fraction(50))) == (130, 500_223)
    assert second.cells[-2] == first.cells[-2]


@pytest.mark.django_db
def test_a_cell_first_merged_without_a_shape_gets_one_when_it_is_charted() -> None:
    flush(NOW - timedelta(minutes=7), {10_000: 30})
    plain = stage_series(grid=grid(), stages=[Stage.ACK])[Stage.ACK]
    assert all(cell.shape is None for cell in plain.cells)
    assert sum(cell.shape is not None for cell in ack().cells) == 1


@pytest.mark.django_db
def test_more_rows_than_are_read_for_one_page_are_refused_and_never_a_part_of_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(latency_series, "MERGED_AT_MOST", 4)
    for minutes in range(1, 5):
        flush(NOW - timedelta(minutes=minutes), [1_000])
    assert ack().count == 4
    flush(NOW - timedelta(minutes=5), [1_000], provider="other")
    with pytest.raises(TooManyRows):
        ack()
    assert ack(provider="default").count == 4


@pytest.mark.django_db
def test_a_roll_up_between_two_queries_costs_a_second_try_and_no_figure(monkeypatch: pytest.MonkeyPatch) -> None:
    at = NOW - timedelta(minutes=30)
    for duration_us in (1_000, 2_000, 3_000):
        flush(at, {duration_us: 10})
    read_sums, tries = latency_series._sums, []

    def sums_then_roll_up(*arguments: Any) -> Any:
        found = read_sums(*arguments)
        tries.append(len(found))
        roll_up_minutes(pace=AT_ONCE, clock=ManualClock(wall_us=us_of(NOW)))
        return found

    monkeypatch.setattr(latency_series, "_sums", sums_then_roll_up)
    series = ack()
    assert (len(tries), series.count, series.distribution.count) == (2, 30, 30)
    assert LatencyFlush.objects.get().process == MINUTE


@pytest.mark.django_db
def test_a_part_of_a_cells_rows_is_never_taken_for_all_of_them(monkeypatch: pytest.MonkeyPatch) -> None:
    replaced, *_ = [flush(NOW - timedelta(minutes=30), {duration_us: 10}) for duration_us in (1_000, 2_000, 3_000)]
    read_sums, tries = latency_series._sums, []

    def sums_then_replace(*arguments: Any) -> Any:
        found = read_sums(*arguments)
        tries.append(len(found))
        if LatencyFlush.objects.filter(pk=replaced.pk).delete()[0]:
            flush(replaced.minute, {1_000: 10})
        return found

    monkeypatch.setattr(latency_series, "_sums", sums_then_replace)
    series = ack()
    assert (len(tries), series.count, series.distribution.count) == (2, 30, 30)


@pytest.mark.django_db
def test_rows_that_go_at_every_try_are_an_error_and_no_smaller_figure(monkeypatch: pytest.MonkeyPatch) -> None:
    read_sums = latency_series._sums

    def sums_of_rows_that_go(*arguments: Any) -> Any:
        flush(NOW - timedelta(minutes=30), [1_000])
        found = read_sums(*arguments)
        LatencyFlush.objects.all().delete()
        return found

    monkeypatch.setattr(latency_series, "_sums", sums_of_rows_that_go)
    with pytest.raises(RolledUpMeanwhile):
        ack()


@pytest.mark.django_db
def test_the_last_measured_minute_is_told_by_provider() -> None:
    assert last_measured(before=NOW) is None
    flush(NOW - timedelta(hours=5), [1_000])
    flush(NOW - timedelta(hours=2), [1_000], provider="other")
    assert last_measured(before=NOW) == NOW - timedelta(hours=2)
    assert last_measured(before=NOW, provider="default") == NOW - timedelta(hours=5)
