"""What wide charts share: their sizes, where the labels of both axes stand, gaps where nothing was measured."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from evidence.charts.axis import LABEL_CHARACTER_WIDTH, ROUND_MS, Tick, milliseconds_label

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
TICK_STEPS = (
    *(timedelta(minutes=minutes) for minutes in (1, 2, 5, 10, 15, 30)),
    *(timedelta(hours=hours) for hours in (1, 2, 3, 6, 12)),
    *(timedelta(days=days) for days in (1, 2, 7, 14, 28, 56)),
)
SIZES = (("wide", 880.0), ("narrow", 340.0))  # text shrinks with its viewBox, so a phone gets one of its own
LABELS_APART = 14.0
LABEL_HEIGHT = 13.0
LONGEST_LABEL = len("30 Nov 10:05")


@dataclass(frozen=True, slots=True)
class Gap:
    """Cells without figures, in the units of the viewBox."""

    x: float
    width: float


@dataclass(frozen=True, slots=True)
class TimeAxis:
    since: datetime
    until: datetime
    left: float
    right: float

    def x(self, at: datetime) -> float:
        share = (at - self.since) / (self.until - self.since)
        return round(self.left + share * (self.right - self.left), 1)

    def ticks(self, *, width: float) -> Sequence[Tick]:
        """Round moments in UTC, as many as fit without their labels meeting."""
        room = (LONGEST_LABEL * LABEL_CHARACTER_WIDTH + LABELS_APART) / (self.right - self.left)
        apart = (self.until - self.since) * room
        step = next((step for step in TICK_STEPS if step >= apart), TICK_STEPS[-1])
        written = _written(self.until - self.since, step)
        at = EPOCH - (EPOCH - self.since) // step * step
        ticks: list[Tick] = []
        free_from = 0.0
        while at <= self.until:
            tick = _inside(self.x(at), written(at), width)
            label_width = len(tick.label) * LABEL_CHARACTER_WIDTH
            left = tick.x - {"start": 0.0, "middle": label_width / 2, "end": label_width}[tick.anchor]
            if left >= free_from:
                ticks.append(tick)
                free_from = left + label_width + LABELS_APART / 2
            at += step
        return ticks


def _inside(x: float, label: str, width: float) -> Tick:
    """Text at an edge grows inwards, or the viewBox cuts it."""
    half = len(label) * LABEL_CHARACTER_WIDTH / 2
    return Tick(x, label, "start" if x < half else "end" if x > width - half else "middle")


def _written(length: timedelta, step: timedelta) -> Callable[[datetime], str]:
    if step >= timedelta(days=1):
        return lambda at: f"{at.day} {at:%b}"
    if length > timedelta(days=1):
        return lambda at: f"{at.day} {at:%b} {at:%H:%M}"
    return lambda at: f"{at:%H:%M}"


def gaps(axis: TimeAxis, cells: Sequence[tuple[datetime, datetime, bool]]) -> Sequence[Gap]:
    """Neighbouring cells that are empty are one gap. Cells are (begin, end, is empty), in order."""
    return [Gap(axis.x(begin), round(axis.x(end) - axis.x(begin), 1)) for begin, end in empty_spans(cells)]


def empty_spans(cells: Sequence[tuple[datetime, datetime, bool]]) -> Sequence[tuple[datetime, datetime]]:
    spans: list[tuple[datetime, datetime]] = []
    for begin, end, is_empty in cells:
        if not is_empty:
            continue
        if spans and spans[-1][1] == begin:
            spans[-1] = (spans[-1][0], end)
        else:
            spans.append((begin, end))
    return spans


def upright_ticks(
    y: Callable[[float], float], *, low_ms: float, high_ms: float, objective_y: float
) -> Sequence[tuple[float, str]]:
    """Round durations on an upright axis, whose labels meet neither each other nor the objective's."""
    found: list[tuple[float, str]] = []
    for value_ms in ROUND_MS:
        if not low_ms <= value_ms <= high_ms:
            continue
        at = y(value_ms)
        if abs(at - objective_y) >= LABEL_HEIGHT and (not found or found[-1][0] - at >= LABEL_HEIGHT):
            found.append((at, milliseconds_label(value_ms)))
    return found
