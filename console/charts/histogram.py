"""A histogram of durations on a logarithmic axis, as numbers for a template to draw.

The objective is an edge between two buckets, so no bar lies on both sides of its line. Durations that nobody promised
anything about have none: then there is no line, and no bar is over it.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from evidence.charts.axis import Tick, anchor_at, milliseconds_label, ticks_between

HEIGHT = 150.0
TOP = 22.0  # room for the objective's label
BOTTOM = 24.0  # room for the axis labels
SIDE = 14.0
BAR_HEIGHT_AT_LEAST = 2.0  # one slow event among thousands must still be seen


@dataclass(frozen=True, slots=True)
class Bar:
    """One bucket that holds something, in the units of the viewBox."""

    x: float
    y: float
    width: float
    height: float
    is_over: bool


@dataclass(frozen=True, slots=True)
class Drawing:
    """One size of the chart. `name` makes the ids of its title and description unique."""

    name: str
    width: float
    height: float
    baseline: float
    bars: Sequence[Bar]
    ticks: Sequence[Tick]
    objective: Tick | None
    objective_top: float


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table beneath the chart."""

    label: str
    count: int
    is_over: bool


@dataclass(frozen=True, slots=True)
class Histogram:
    title: str
    description: str
    drawings: Sequence[Drawing]  # wide, then narrow: text shrinks with its viewBox, so a phone gets one of its own
    rows: Sequence[Row]
    objective: str  # as it is written; empty without one


@dataclass(frozen=True, slots=True)
class _Bucket:
    lower_ms: float
    upper_ms: float
    count: int
    objective_ms: float | None

    @property
    def is_over(self) -> bool:
        return self.objective_ms is not None and self.lower_ms >= self.objective_ms

    @property
    def label(self) -> str:
        return bucket_label(self.lower_ms, self.upper_ms)


def bucket_label(lower_ms: float, upper_ms: float) -> str:
    if math.isinf(upper_ms):
        return f"over {milliseconds_label(lower_ms)}"
    if not lower_ms:
        return f"up to {milliseconds_label(upper_ms)}"
    return f"{milliseconds_label(lower_ms)} to {milliseconds_label(upper_ms)}"


def histogram(
    *, name: str, title: str, description: str, buckets: Sequence[tuple[float, int]], objective_ms: float | None
) -> Histogram | None:
    """The chart of (upper edge in ms, count) pairs in ascending order; None where nothing was counted."""
    filled = _from_first_to_last_filled(_with_lower_edges(buckets, objective_ms))
    if not filled:
        return None
    return Histogram(
        title=title,
        description=description,
        drawings=[
            _drawing(f"{name}-{size}", filled, objective_ms=objective_ms, width=width)
            for size, width in (("wide", 560.0), ("narrow", 340.0))
        ],
        rows=[Row(bucket.label, bucket.count, bucket.is_over) for bucket in filled if bucket.count],
        objective="" if objective_ms is None else milliseconds_label(objective_ms),
    )


def _with_lower_edges(buckets: Sequence[tuple[float, int]], objective_ms: float | None) -> list[_Bucket]:
    lower_edges = [0.0, *(upper for upper, _ in buckets)]
    return [
        _Bucket(lower, upper, count, objective_ms) for lower, (upper, count) in zip(lower_edges, buckets, strict=False)
    ]


def _from_first_to_last_filled(buckets: Sequence[_Bucket]) -> list[_Bucket]:
    filled = [index for index, bucket in enumerate(buckets) if bucket.count]
    return list(buckets[filled[0] : filled[-1] + 1]) if filled else []


def _drawing(name: str, buckets: Sequence[_Bucket], *, objective_ms: float | None, width: float) -> Drawing:
    low_ms, high_ms = _drawn_lower(buckets[0]), _drawn_upper(buckets[-1])
    if objective_ms is not None:
        low_ms, high_ms = min(low_ms, objective_ms / 2), max(high_ms, objective_ms * 1.5)
    highest = max(bucket.count for bucket in buckets)
    baseline = HEIGHT - BOTTOM

    def x(value_ms: float) -> float:
        share = math.log(value_ms / low_ms) / math.log(high_ms / low_ms)
        return round(SIDE + share * (width - 2 * SIDE), 1)

    bars = []
    for bucket in buckets:
        if not bucket.count:
            continue
        left, right = x(max(_drawn_lower(bucket), low_ms)), x(_drawn_upper(bucket))
        height = round(max(bucket.count / highest * (baseline - TOP), BAR_HEIGHT_AT_LEAST), 1)
        gap = 1.0 if right - left > 3 else 0.0
        bars.append(Bar(left, round(baseline - height, 1), round(right - left - gap, 1), height, bucket.is_over))
    return Drawing(
        name=name,
        width=width,
        height=HEIGHT,
        baseline=baseline,
        bars=bars,
        ticks=ticks_between(x, low_ms=low_ms, high_ms=high_ms, width=width),
        objective=None if objective_ms is None else _marked(objective_ms, x(objective_ms), width),
        objective_top=TOP - 6,
    )


def _marked(objective_ms: float, at: float, width: float) -> Tick:
    return Tick(at, milliseconds_label(objective_ms), anchor_at(at, width))


def _drawn_lower(bucket: _Bucket) -> float:
    return bucket.lower_ms or bucket.upper_ms / 2  # a logarithmic axis has no zero


def _drawn_upper(bucket: _Bucket) -> float:
    return bucket.lower_ms * 2 if math.isinf(bucket.upper_ms) else bucket.upper_ms
