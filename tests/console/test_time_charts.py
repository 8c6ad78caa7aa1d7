"""Charts over time and of two distributions: gaps stay gaps, nothing leaves the picture, nothing is lost."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from console.charts.heat import LEVEL_COUNT, Column, heat, level_starts
from console.charts.lines import Point, lines
from console.charts.marks import TimeAxis, empty_spans
from console.charts.overlay import overlay
from evidence.charts.axis import LABEL_CHARACTER_WIDTH, Tick

BEGIN = datetime(2026, 5, 4, 10, 0, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
EDGES_MS = (1.0, 10.0, 120.0, 1_440.0)
values_ms = st.none() | st.floats(0.001, 60_000)
counts = st.lists(st.integers(0, 10**9), min_size=5, max_size=5)


def points(values: Sequence[Sequence[float | None]]) -> list[Point]:
    return [
        Point(BEGIN + n * MINUTE, BEGIN + (n + 1) * MINUTE, each, is_empty=all(value is None for value in each))
        for n, each in enumerate(values)
    ]


def numbers(path: str) -> list[float]:
    return [float(found) for found in re.findall(r"-?\d+\.?\d*(?:e-?\d+)?", path)]


@given(st.lists(st.tuples(values_ms, values_ms, values_ms), min_size=1, max_size=100))
def test_every_figure_is_on_its_line_or_a_dot_and_no_line_spans_a_cell_without_one(
    values: list[tuple[float | None, ...]],
) -> None:
    chart = lines(name="t", title="t", description="d", names=("a", "b", "c"), points=points(values), objective_ms=120)
    if chart is None:
        assert all(value is None for each in values for value in each)
        return
    for drawing in chart.drawings:
        for place, line in enumerate(drawing.lines):
            known = [each[place] is not None for each in values]
            runs = [run for run in "".join("x" if each else " " for each in known).split(" ") if run]
            assert line.path.count("M") == sum(1 for run in runs if len(run) > 1)
            assert len(line.dots) == sum(1 for run in runs if len(run) == 1)
            assert len(numbers(line.path)) // 2 + len(line.dots) == sum(known)
            along = numbers(line.path)
            for x, y in [*zip(along[::2], along[1::2], strict=True), *line.dots]:
                assert drawing.left <= x <= drawing.right
                assert drawing.top - 0.1 <= y <= drawing.baseline + 0.1
        assert drawing.top <= drawing.objective_y <= drawing.baseline


def test_a_missing_minute_breaks_the_line_and_is_drawn_as_a_gap() -> None:
    chart = lines(
        name="t",
        title="t",
        description="d",
        names=("a",),
        points=points([[5.0], [6.0], [None], [None], [7.0], [8.0]]),
        objective_ms=120,
    )
    assert chart is not None
    for drawing in chart.drawings:
        (line,) = drawing.lines
        assert line.path.count("M") == 2
        (gap,) = drawing.gaps
        left, right = (drawing.left + (drawing.right - drawing.left) * cell / 6 for cell in (2, 4))
        assert abs(gap.x - left) < 0.2
        assert abs(gap.x + gap.width - right) < 0.2


def test_lines_differ_by_more_than_colour() -> None:
    chart = lines(
        name="t", title="t", description="d", names=("a", "b", "c"), points=points([[1, 2, 3]] * 2), objective_ms=120
    )
    assert chart is not None
    assert len({line.style for line in chart.drawings[0].lines}) == 3


@given(st.integers(1, 400 * 24 * 60), st.integers(0, 10**6), st.sampled_from([340.0, 880.0]))
def test_moments_are_round_fit_and_do_not_meet(minutes: int, shift: int, width: float) -> None:
    since = BEGIN + shift * MINUTE
    axis = TimeAxis(since, since + minutes * MINUTE, 52.0, width - 10)
    ticks = axis.ticks(width=width)
    assert all(left[1] < right[0] for left, right in pairwise(map(extent, ticks)))
    assert all(left >= 0 and right <= width for left, right in map(extent, ticks))
    assert minutes < 10 or ticks


def extent(tick: Tick) -> tuple[float, float]:
    width = len(tick.label) * LABEL_CHARACTER_WIDTH
    left = tick.x - {"start": 0.0, "middle": width / 2, "end": width}[tick.anchor]
    return left, left + width


@given(st.lists(st.just(()) | counts, min_size=1, max_size=60))
def test_the_map_has_a_field_for_every_bucket_that_holds_something(columns: list[list[int]]) -> None:
    given_columns = [Column(BEGIN + n * MINUTE, BEGIN + (n + 1) * MINUTE, each) for n, each in enumerate(columns)]
    chart = heat(name="t", title="t", description="d", columns=given_columns, edges_ms=EDGES_MS, objective_ms=120.0)
    filled = [(place, count) for each in columns for place, count in enumerate(each) if count]
    if chart is None:
        assert not filled
        return
    for drawing in chart.drawings:
        assert sum(level.path.count("M") for level in drawing.levels) == len(filled)
        over = sum(level.path.count("M") for level in drawing.levels if level.is_over)
        assert over == sum(1 for place, _ in filled if place > 2)
        assert drawing.top <= drawing.objective_y < drawing.baseline


@given(st.integers(1, 10**12))
def test_levels_begin_with_one_and_never_fall(highest: int) -> None:
    starts = level_starts(highest)
    assert (starts[0], len(starts)) == (1, LEVEL_COUNT)
    assert list(starts) == sorted(starts)
    assert starts[-1] <= highest


@given(counts, counts)
def test_two_distributions_have_all_their_counts_in_the_table_and_shares_in_the_picture(
    first: list[int], second: list[int]
) -> None:
    chart = overlay(
        name="t", title="t", description="d", edges_ms=EDGES_MS, first=first, second=second, objective_ms=120.0
    )
    if chart is None:
        assert not any(first)
        assert not any(second)
        return
    assert [row.counts for row in chart.rows] == [pair for pair in zip(first, second, strict=True) if any(pair)]
    for drawing in chart.drawings:
        for path, side in ((drawing.filled_path, first), (drawing.outline_path, second)):
            if not any(side):
                assert not path
                continue
            assert all(0 <= number <= drawing.width for number in numbers(path))


def test_neighbouring_empty_cells_are_one_gap() -> None:
    cells = [(BEGIN + n * MINUTE, BEGIN + (n + 1) * MINUTE, is_empty) for n, is_empty in enumerate([1, 1, 0, 1, 0])]
    assert empty_spans([(begin, end, bool(each)) for begin, end, each in cells]) == [
        (BEGIN, BEGIN + 2 * MINUTE),
        (BEGIN + 3 * MINUTE, BEGIN + 4 * MINUTE),
    ]
