"""The histogram's geometry: nothing cut, nothing straddling the objective, nothing lost."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from console.charts.histogram import Histogram, histogram
from evidence.charts.axis import LABEL_CHARACTER_WIDTH, Tick

EDGES_MS = (1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 120.0, 200.0, 500.0, 1_000.0, 60_000.0, float("inf"))


def drawn(counts: list[int]) -> Histogram | None:
    buckets = list(zip(EDGES_MS, counts, strict=True))
    return histogram(name="t", title="t", description="d", buckets=buckets, objective_ms=120.0)


counts_of_buckets = st.lists(st.integers(0, 10**9), min_size=len(EDGES_MS), max_size=len(EDGES_MS))


@given(counts_of_buckets)
def test_every_bucket_with_something_in_it_has_a_bar_in_the_picture_and_a_row_in_the_table(counts: list[int]) -> None:
    chart = drawn(counts)
    filled = [count for count in counts if count]
    if chart is None:
        assert not filled
        return
    assert [row.count for row in chart.rows] == filled
    for drawing in chart.drawings:
        assert len(drawing.bars) == len(filled)
        for bar in drawing.bars:
            assert 0 <= bar.x < bar.x + bar.width <= drawing.width
            assert 0 < bar.y < bar.y + bar.height <= drawing.baseline + 0.1
            assert bar.height >= 2


@given(counts_of_buckets)
def test_a_bar_is_over_exactly_when_it_stands_right_of_the_objective(counts: list[int]) -> None:
    chart = drawn(counts)
    for drawing in chart.drawings if chart else ():
        for bar in drawing.bars:
            assert drawing.objective is not None
            assert bar.is_over == (bar.x >= drawing.objective.x)
            assert bar.is_over or bar.x + bar.width <= drawing.objective.x


def extent(tick: Tick) -> tuple[float, float]:
    width = len(tick.label) * LABEL_CHARACTER_WIDTH
    left = tick.x - {"start": 0.0, "middle": width / 2, "end": width}[tick.anchor]
    return left, left + width


@given(counts_of_buckets)
def test_labels_neither_meet_nor_leave_the_picture(counts: list[int]) -> None:
    chart = drawn(counts)
    for drawing in chart.drawings if chart else ():
        extents = [extent(tick) for tick in drawing.ticks]
        assert all(left[1] < right[0] for left, right in pairwise(extents))
        assert drawing.objective is not None
        for left, right in [*extents, extent(drawing.objective)]:
            assert left >= 0
            assert right <= drawing.width


@given(counts_of_buckets)
def test_without_an_objective_nothing_is_over_it_and_no_line_is_drawn(counts: list[int]) -> None:
    buckets = list(zip(EDGES_MS, counts, strict=True))
    chart = histogram(name="t", title="t", description="d", buckets=buckets, objective_ms=None)
    for drawing in chart.drawings if chart else ():
        assert drawing.objective is None
        assert not [bar for bar in drawing.bars if bar.is_over]
        assert all(0 <= bar.x < bar.x + bar.width <= drawing.width for bar in drawing.bars)
    assert not [row for row in (chart.rows if chart else ()) if row.is_over]


def test_nothing_counted_is_no_chart() -> None:
    assert drawn([0] * len(EDGES_MS)) is None
