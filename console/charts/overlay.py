"""Two distributions in one picture on a logarithmic axis: shares of each, so that unlike counts compare.

The first is a filled shape, the second a dashed outline: they differ by more than colour.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from console.charts.histogram import BOTTOM, SIDE, TOP, bucket_label
from console.charts.marks import SIZES
from evidence.charts.axis import Tick, anchor_at, milliseconds_label, ticks_between

HEIGHT = 200.0


@dataclass(frozen=True, slots=True)
class OverlayDrawing:
    name: str
    width: float
    height: float
    baseline: float
    filled_path: str
    outline_path: str
    ticks: Sequence[Tick]
    objective: Tick
    objective_top: float


@dataclass(frozen=True, slots=True)
class OverlayRow:
    label: str
    is_over: bool
    counts: tuple[int, int]
    shares: tuple[str, str]


@dataclass(frozen=True, slots=True)
class Overlay:
    title: str
    description: str
    drawings: Sequence[OverlayDrawing]
    rows: Sequence[OverlayRow]


def overlay(
    *,
    name: str,
    title: str,
    description: str,
    edges_ms: Sequence[float],
    first: Sequence[int],
    second: Sequence[int],
    objective_ms: float,
) -> Overlay | None:
    """Counts are by upper edge, the last one above all edges. None where nothing is in either."""
    filled = [place for place, counts in enumerate(zip(first, second, strict=True)) if any(counts)]
    if not filled:
        return None
    objective = edges_ms.index(objective_ms)
    shown = range(min(*filled, objective), min(max(*filled, objective + 1), len(edges_ms) - 1) + 1)
    return Overlay(
        title=title,
        description=description,
        drawings=[
            _drawing(f"{name}-{size}", edges_ms, shown, _shares(first), _shares(second), objective_ms, width=width)
            for size, width in SIZES
        ],
        rows=[
            OverlayRow(
                bucket_label(edges_ms[place - 1] if place else 0.0, [*edges_ms, math.inf][place]),
                place > objective,
                (first[place], second[place]),
                (_percent(first, place), _percent(second, place)),
            )
            for place in filled
        ],
    )


def _shares(counts: Sequence[int]) -> Sequence[float]:
    total = sum(counts) or 1
    return [count / total for count in counts]


def _percent(counts: Sequence[int], place: int) -> str:
    total = sum(counts)
    return f"{100 * counts[place] / total:.2f} %" if total else "none"


def _drawing(
    name: str,
    edges_ms: Sequence[float],
    shown: range,
    first: Sequence[float],
    second: Sequence[float],
    objective_ms: float,
    *,
    width: float,
) -> OverlayDrawing:
    def lower_ms(place: int) -> float:
        return edges_ms[place - 1] if place else edges_ms[0] / 2  # a logarithmic axis has no zero

    low_ms, high_ms = lower_ms(shown.start), edges_ms[shown.stop - 1]
    highest = max(*first, *second)
    baseline = HEIGHT - BOTTOM

    def x(value_ms: float) -> float:
        share = math.log(value_ms / low_ms) / math.log(high_ms / low_ms)
        return round(SIDE + share * (width - 2 * SIDE), 1)

    def y(share: float) -> float:
        return round(baseline - share / highest * (baseline - TOP), 1)

    objective_x = x(objective_ms)
    stairs = [(x(lower_ms(place)), x(edges_ms[place]), place) for place in shown]
    return OverlayDrawing(
        name=name,
        width=width,
        height=HEIGHT,
        baseline=baseline,
        filled_path=_stairs(stairs, first, y),
        outline_path=_stairs(stairs, second, y),
        ticks=ticks_between(x, low_ms=low_ms, high_ms=high_ms, width=width),
        objective=Tick(objective_x, milliseconds_label(objective_ms), anchor_at(objective_x, width)),
        objective_top=TOP - 6,
    )


def _stairs(stairs: Sequence[tuple[float, float, int]], shares: Sequence[float], y: Callable[[float], float]) -> str:
    """From the baseline over each bucket's height back to it; nothing where all is zero."""
    if not any(shares):
        return ""
    steps = "".join(f"V{y(shares[place]):g}H{right:g}" for _, right, place in stairs)
    return f"M{stairs[0][0]:g} {y(0):g}{steps}V{y(0):g}"
