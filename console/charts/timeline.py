"""The way of one event on one time axis, as numbers for a template to draw: a row a step, a broken one for a gap.

The axis is logarithmic: an acknowledgement takes milliseconds, a seal seconds, a retry days.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from evidence.charts.axis import Tick, anchor_at, milliseconds_label, ticks_between

ROW_HEIGHT = 34.0
BAR_HEIGHT = 12.0
TOP = 26.0
BOTTOM = 24.0
SIDE = 14.0
BAR_WIDTH_AT_LEAST = 3.0
NEAREST_MS = 0.05  # what lies nearer to the first moment stands at the left edge


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """What went on between two moments. `end` is None while it has not ended; a gap has no record of what went on."""

    name: str
    start: datetime
    end: datetime | None
    told: str
    is_gap: bool = False
    is_over: bool = False


@dataclass(frozen=True, slots=True)
class Row:
    x: float
    width: float
    label: str
    label_y: float
    bar_y: float
    is_gap: bool
    is_over: bool


@dataclass(frozen=True, slots=True)
class Drawing:
    name: str
    width: float
    height: float
    baseline: float
    bar_height: float
    rows: Sequence[Row]
    ticks: Sequence[Tick]
    objective: Tick
    objective_top: float
    tick_y: float


@dataclass(frozen=True, slots=True)
class Timeline:
    title: str
    description: str
    drawings: Sequence[Drawing]
    has_gap: bool


def timeline(*, name: str, spans: Sequence[Span], objective_ms: float, now: datetime) -> Timeline | None:
    """None where nothing is known of the way. Times before the first moment, by another clock, are drawn at it."""
    if not spans:
        return None
    first = spans[0].start
    ends_ms = [_ms((span.end or now) - first) for span in spans]
    low_ms = max(min([value for value in ends_ms if value > 0], default=objective_ms) / 4, NEAREST_MS)
    high_ms = max(*ends_ms, objective_ms) * 1.3
    return Timeline(
        title="The way of the event",
        description="; ".join(f"{span.name}, {span.told}" for span in spans),
        drawings=[
            _drawing(f"{name}-{size}", spans, first, now, low_ms, high_ms, objective_ms, width)
            for size, width in (("wide", 720.0), ("narrow", 340.0))
        ],
        has_gap=any(span.is_gap for span in spans),
    )


def _drawing(
    name: str,
    spans: Sequence[Span],
    first: datetime,
    now: datetime,
    low_ms: float,
    high_ms: float,
    objective_ms: float,
    width: float,
) -> Drawing:
    def x(value_ms: float) -> float:
        share = math.log(max(value_ms, low_ms) / low_ms) / math.log(high_ms / low_ms)
        return round(SIDE + share * (width - 2 * SIDE), 1)

    rows = []
    for index, span in enumerate(spans):
        left, right = x(_ms(span.start - first)), x(_ms((span.end or now) - first))
        top = TOP + index * ROW_HEIGHT
        rows.append(
            Row(
                x=min(left, width - SIDE - BAR_WIDTH_AT_LEAST),
                width=round(max(right - left, BAR_WIDTH_AT_LEAST), 1),
                label=f"{span.name}: {span.told}",
                label_y=top + 12,
                bar_y=top + 17,
                is_gap=span.is_gap,
                is_over=span.is_over,
            )
        )
    baseline = TOP + len(spans) * ROW_HEIGHT + 2
    objective_x = x(objective_ms)
    return Drawing(
        name=name,
        width=width,
        height=baseline + BOTTOM,
        baseline=baseline,
        bar_height=BAR_HEIGHT,
        rows=rows,
        ticks=ticks_between(x, low_ms=low_ms, high_ms=high_ms, width=width),
        objective=Tick(objective_x, milliseconds_label(objective_ms), anchor_at(objective_x, width)),
        objective_top=TOP - 8,
        tick_y=baseline + 16,
    )


def _ms(passed: timedelta) -> float:
    return passed / timedelta(milliseconds=1)
