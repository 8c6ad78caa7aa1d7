"""Lines over time on a logarithmic axis of durations, as numbers for a template to draw.

A line ends where a cell has no figure and begins again after it: nothing is drawn that was not measured.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from console.charts.marks import SIZES, Gap, TimeAxis, gaps, upright_ticks
from evidence.charts.axis import Tick, milliseconds_label

HEIGHT = 220.0
TOP, BOTTOM = 12.0, 26.0
LEFT, RIGHT = 52.0, 10.0
STYLES = ("solid", "dashed", "dotted")  # lines differ by more than colour


@dataclass(frozen=True, slots=True)
class Point:
    """One cell. `values_ms`: one for each line; None where it has no figure."""

    begin: datetime
    end: datetime
    values_ms: Sequence[float | None]
    is_empty: bool


@dataclass(frozen=True, slots=True)
class Line:
    style: str
    path: str  # of SVG
    dots: Sequence[tuple[float, float]]  # figures without a neighbour, which a line cannot show


@dataclass(frozen=True, slots=True)
class LinesDrawing:
    name: str
    width: float
    height: float
    left: float
    right: float
    top: float
    baseline: float
    lines: Sequence[Line]
    gaps: Sequence[Gap]
    moments: Sequence[Tick]
    durations: Sequence[tuple[float, str]]  # y and label
    objective_y: float
    objective_label: str

    @property
    def plot_height(self) -> float:
        return self.baseline - self.top


@dataclass(frozen=True, slots=True)
class Lines:
    title: str
    description: str
    names: Sequence[tuple[str, str]]  # style and name of each line
    drawings: Sequence[LinesDrawing]


def lines(
    *, name: str, title: str, description: str, names: Sequence[str], points: Sequence[Point], objective_ms: float
) -> Lines | None:
    """None where no line has a figure."""
    known = [value for point in points for value in point.values_ms if value is not None]
    if not known:
        return None
    return Lines(
        title=title,
        description=description,
        names=list(zip(STYLES, names, strict=False)),
        drawings=[
            _drawing(f"{name}-{size}", points, known, width=width, objective_ms=objective_ms) for size, width in SIZES
        ],
    )


def _drawing(
    name: str, points: Sequence[Point], known: Sequence[float], *, width: float, objective_ms: float
) -> LinesDrawing:
    axis = TimeAxis(points[0].begin, points[-1].end, LEFT, width - RIGHT)
    low_ms, high_ms = min(*known, objective_ms) / 1.5, max(*known, objective_ms) * 1.5
    baseline = HEIGHT - BOTTOM

    def y(value_ms: float) -> float:
        share = math.log(value_ms / low_ms) / math.log(high_ms / low_ms)
        return round(baseline - share * (baseline - TOP), 1)

    objective_y = y(objective_ms)
    return LinesDrawing(
        name=name,
        width=width,
        height=HEIGHT,
        left=LEFT,
        right=width - RIGHT,
        top=TOP,
        baseline=baseline,
        lines=[_line(style, place, points, axis, y) for place, style in enumerate(STYLES[: len(points[0].values_ms)])],
        gaps=gaps(axis, [(point.begin, point.end, point.is_empty) for point in points]),
        moments=axis.ticks(width=width),
        durations=upright_ticks(y, low_ms=low_ms, high_ms=high_ms, objective_y=objective_y),
        objective_y=objective_y,
        objective_label=milliseconds_label(objective_ms),
    )


def _line(style: str, place: int, points: Sequence[Point], axis: TimeAxis, y: Callable[[float], float]) -> Line:
    parts: list[str] = []
    dots: list[tuple[float, float]] = []
    for run in _runs(points, place):
        along = [(axis.x(point.begin + (point.end - point.begin) / 2), y(value_ms)) for point, value_ms in run]
        if len(along) == 1:
            dots += along
        else:
            parts.append("M" + "L".join(f"{x:g} {height:g}" for x, height in along))
    return Line(style, "".join(parts), dots)


def _runs(points: Sequence[Point], place: int) -> Sequence[Sequence[tuple[Point, float]]]:
    """Neighbouring cells that have a figure."""
    runs: list[list[tuple[Point, float]]] = [[]]
    for point in points:
        value_ms = point.values_ms[place]
        if value_ms is not None:
            runs[-1].append((point, value_ms))
        elif runs[-1]:
            runs.append([])
    return [run for run in runs if run]
