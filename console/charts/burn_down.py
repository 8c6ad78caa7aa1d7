"""What is left of a budget over time, as numbers for a template to draw. Where nobody measured, no line is drawn."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from fractions import Fraction

from evidence.budget.windows import Spending, Step
from evidence.charts.axis import LABEL_CHARACTER_WIDTH, Tick, anchor_at

HEIGHT = 190.0
TOP, BOTTOM, LEFT, RIGHT = 12.0, 24.0, 46.0, 12.0
LOWEST_PCT = -100  # deeper, and what was left before would be a flat line; the table has the figures
LABELS_APART = 14.0
BAND_HEIGHT_AT_LEAST = 6.0  # three minutes of a day must still be seen
DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Line:
    """A level on the axis of per cent."""

    y: float
    label: str
    is_zero: bool

    @property
    def text_y(self) -> float:
        return self.y + 4


@dataclass(frozen=True, slots=True)
class Band:
    """Time of which a part, or all, was not measured: so much of the height is hatched."""

    x: float
    y: float
    width: float
    height: float


@dataclass(frozen=True, slots=True)
class Drawing:
    """One size of the chart. `corrected` and `raw` are points of polylines, a new one after each gap."""

    name: str
    width: float
    height: float
    left: float
    right: float
    levels: Sequence[Line]
    ticks: Sequence[Tick]
    bands: Sequence[Band]
    corrected: Sequence[str]
    raw: Sequence[str]

    @property
    def label_x(self) -> float:
        return self.left - 6

    @property
    def tick_y(self) -> float:
        return self.height - 8


@dataclass(frozen=True, slots=True)
class BurnDown:
    title: str
    description: str
    drawings: Sequence[Drawing]  # wide, then narrow: text shrinks with its viewBox, so a phone gets one of its own


@dataclass(frozen=True, slots=True)
class _Scale:
    begin: datetime
    end: datetime
    low_pct: int
    width: float

    def x(self, moment: datetime) -> float:
        share = (moment - self.begin) / (self.end - self.begin)
        return round(LEFT + share * (self.width - LEFT - RIGHT), 1)

    def y(self, pct: Fraction | int) -> float:
        inside = max(float(pct), float(self.low_pct))
        return round(TOP + (100 - inside) / (100 - self.low_pct) * (HEIGHT - TOP - BOTTOM), 1)


def burn_down(spending: Spending, *, name: str, title: str, description: str) -> BurnDown | None:
    """None where nothing was valid: then there is no budget, and nothing to draw."""
    corrected, raw = spending.left_pct(), spending.left_pct(raw=True)
    if corrected is None or not spending.steps:
        return None
    deepest = min([*corrected, *(raw or ()), Fraction(0)])
    low_pct = max(LOWEST_PCT, -100 if deepest < -50 else (-50 if deepest < 0 else 0))
    own_raw = raw if raw is not None and raw != corrected else None
    drawings = [
        _drawing(f"{name}-{size}", spending.steps, corrected, own_raw, low_pct=low_pct, width=width)
        for size, width in (("wide", 720.0), ("narrow", 340.0))
    ]
    return BurnDown(title, description, drawings)


def _drawing(
    name: str,
    steps: Sequence[Step],
    corrected: Sequence[Fraction],
    raw: Sequence[Fraction] | None,
    *,
    low_pct: int,
    width: float,
) -> Drawing:
    scale = _Scale(steps[0].begin, steps[-1].end, low_pct, width)
    levels = (100, 50, 0) if not low_pct else (100, 0, low_pct)
    return Drawing(
        name=name,
        width=width,
        height=HEIGHT,
        left=LEFT,
        right=width - RIGHT,
        levels=[Line(scale.y(pct), f"{pct} %", pct == 0) for pct in levels],
        ticks=_ticks(steps, scale),
        bands=[_band(step, scale) for step in steps if step.own.unknown_seconds > 0],
        corrected=list(_polylines(steps, corrected, scale)),
        raw=list(_polylines(steps, raw, scale)) if raw is not None else [],
    )


def _band(step: Step, scale: _Scale) -> Band:
    share = min(step.own.unknown_seconds / (step.end - step.begin).total_seconds(), 1)
    baseline = HEIGHT - BOTTOM
    height = round(max(share * (baseline - TOP), BAND_HEIGHT_AT_LEAST), 1)
    left = scale.x(step.begin)
    return Band(left, round(baseline - height, 1), round(scale.x(step.end) - left, 1), height)


def _polylines(steps: Sequence[Step], left: Sequence[Fraction], scale: _Scale) -> Iterator[str]:
    """Broken where a step is unknown; it goes on with what is left after it."""
    points = [(steps[0].begin, Fraction(100))]
    for step, level in zip(steps, left, strict=True):
        if step.is_unknown:
            yield from _polyline(points, scale)
            points = [(step.end, level)]
        else:
            points.append((step.end, level))
    yield from _polyline(points, scale)


def _polyline(points: Sequence[tuple[datetime, Fraction]], scale: _Scale) -> Iterator[str]:
    if len(points) > 1:
        yield " ".join(f"{scale.x(at):g},{scale.y(pct):g}" for at, pct in points)


def _ticks(steps: Sequence[Step], scale: _Scale) -> list[Tick]:
    """As many beginnings of steps as fit without their labels meeting."""
    ticks: list[Tick] = []
    free_from = 0.0
    is_short = scale.end - scale.begin <= 2 * DAY
    for step in steps:
        label = f"{step.begin:%H:%M}" if is_short else f"{step.begin.day} {step.begin:%b}"
        if not is_short and ticks and ticks[-1].label == label:
            continue
        at, label_width = scale.x(step.begin), len(label) * LABEL_CHARACTER_WIDTH
        anchor = anchor_at(at, scale.width)
        left = at - {"start": 0.0, "middle": label_width / 2, "end": label_width}[anchor]
        if left >= free_from:
            ticks.append(Tick(at, label, anchor))
            free_from = left + label_width + LABELS_APART
    return ticks
