"""How many durations fell where, over time: a map of cells, as numbers for a template to draw.

Rows have equal steps on a logarithmic axis; the objective is an edge between two of them.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from console.charts.marks import SIZES, Gap, TimeAxis, gaps, upright_ticks
from evidence.charts.axis import Tick, milliseconds_label

TOP, BOTTOM = 8.0, 26.0
LEFT, RIGHT = 52.0, 10.0
ROW_HEIGHT = 11.0
LEVEL_COUNT = 5  # strengths of colour, each for so many times the counts of the one before


@dataclass(frozen=True, slots=True)
class Column:
    """One cell of time: how many durations are in each bucket. No counts: nothing was measured."""

    begin: datetime
    end: datetime
    counts: Sequence[int]


@dataclass(frozen=True, slots=True)
class Level:
    """All fields of one strength as one path of SVG."""

    number: int
    is_over: bool
    path: str


@dataclass(frozen=True, slots=True)
class HeatDrawing:
    name: str
    width: float
    height: float
    left: float
    right: float
    baseline: float
    levels: Sequence[Level]
    gaps: Sequence[Gap]
    gaps_height: float
    moments: Sequence[Tick]
    durations: Sequence[tuple[float, str]]  # y and label
    objective_y: float
    objective_label: str
    top: float = TOP


@dataclass(frozen=True, slots=True)
class Heat:
    title: str
    description: str
    drawings: Sequence[HeatDrawing]
    legend: Sequence[tuple[int, str]]  # level and the counts that it stands for
    shown: range  # of the buckets: from the first to the last that holds something or touches the objective


def heat(
    *,
    name: str,
    title: str,
    description: str,
    columns: Sequence[Column],
    edges_ms: Sequence[float],
    objective_ms: float,
) -> Heat | None:
    """`counts` of a column are by upper edge, the last one above all edges. None where nothing was measured."""
    filled = [place for column in columns for place, count in enumerate(column.counts) if count]
    if not filled:
        return None
    objective = edges_ms.index(objective_ms)
    shown = range(min(*filled, objective), max(*filled, objective + 1) + 1)
    highest = max(count for column in columns for count in column.counts)
    starts = level_starts(highest)
    return Heat(
        title=title,
        description=description,
        drawings=[
            _drawing(f"{name}-{size}", columns, shown, edges_ms, objective, starts, width=width)
            for size, width in SIZES
        ],
        legend=_legend(starts, highest),
        shown=shown,
    )


def level_starts(highest: int) -> Sequence[int]:
    """The lowest count of each level, by the logarithm: one slow event among thousands must still be seen."""
    return [math.ceil(round(highest ** (level / LEVEL_COUNT), 6)) for level in range(LEVEL_COUNT)]


def _legend(starts: Sequence[int], highest: int) -> Sequence[tuple[int, str]]:
    """Levels that no count can have are left out."""
    ends = [*(start - 1 for start in starts[1:]), highest]
    return [
        (level, f"{low:,}" if low == high else f"{low:,} to {high:,}")
        for level, (low, high) in enumerate(zip(starts, ends, strict=True), start=1)
        if low <= high
    ]


def _drawing(
    name: str,
    columns: Sequence[Column],
    shown: range,
    edges_ms: Sequence[float],
    objective: int,
    starts: Sequence[int],
    *,
    width: float,
) -> HeatDrawing:
    baseline = TOP + ROW_HEIGHT * len(shown)
    axis = TimeAxis(columns[0].begin, columns[-1].end, LEFT, width - RIGHT)

    def top_of(place: int) -> float:
        return baseline - ROW_HEIGHT * (place - shown.start + 1)

    paths: dict[tuple[int, bool], list[str]] = {}
    for column in columns:
        x, right = axis.x(column.begin), axis.x(column.end)
        for place, count in enumerate(column.counts):
            if count:
                key = (bisect_right(starts, count), place > objective)
                paths.setdefault(key, []).append(f"M{x:g} {top_of(place):g}h{right - x:.4g}v{ROW_HEIGHT:g}H{x:g}z")
    objective_y = top_of(objective)
    step = math.log(edges_ms[1] / edges_ms[0])
    y_low_ms = edges_ms[max(shown.start - 1, 0)]

    def y(value_ms: float) -> float:
        return round(objective_y - math.log(value_ms / edges_ms[objective]) / step * ROW_HEIGHT, 1)

    return HeatDrawing(
        name=name,
        width=width,
        height=baseline + BOTTOM,
        left=LEFT,
        right=width - RIGHT,
        baseline=baseline,
        levels=[Level(number, is_over, "".join(parts)) for (number, is_over), parts in sorted(paths.items())],
        gaps=gaps(axis, [(column.begin, column.end, not any(column.counts)) for column in columns]),
        gaps_height=baseline - TOP,
        moments=axis.ticks(width=width),
        durations=upright_ticks(
            y, low_ms=y_low_ms, high_ms=edges_ms[min(shown.stop, len(edges_ms)) - 1], objective_y=objective_y
        ),
        objective_y=objective_y,
        objective_label=milliseconds_label(edges_ms[objective]),
    )
