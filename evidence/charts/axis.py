"""A logarithmic axis of milliseconds: where its labels stand. Shared by the console's charts and those of bundles."""

from collections.abc import Callable
from dataclasses import dataclass

LABELS_APART = 6.0
LABEL_CHARACTER_WIDTH = 6.4  # of the widest digits at 11 px
ROUND_MS = tuple(base * 10.0**power for power in range(-3, 7) for base in (1, 2, 5))


@dataclass(frozen=True, slots=True)
class Tick:
    x: float
    label: str
    anchor: str


def milliseconds_label(value_ms: float) -> str:
    """Short, for axes: `0.5 ms`, `120 ms`, `2 s`."""
    if value_ms >= 1_000:
        return f"{value_ms / 1_000:g} s"
    return f"{value_ms:.4g} ms"


def ticks_between(x: Callable[[float], float], *, low_ms: float, high_ms: float, width: float) -> list[Tick]:
    """As many round values as fit without their labels meeting."""
    ticks: list[Tick] = []
    free_from = 0.0
    for value_ms in ROUND_MS:
        if not low_ms <= value_ms <= high_ms:
            continue
        at, label = x(value_ms), milliseconds_label(value_ms)
        anchor = anchor_at(at, width)
        label_width = len(label) * LABEL_CHARACTER_WIDTH
        left = at - {"start": 0.0, "middle": label_width / 2, "end": label_width}[anchor]
        if left >= free_from:
            ticks.append(Tick(at, label, anchor))
            free_from = left + label_width + LABELS_APART
    return ticks


def anchor_at(x: float, width: float) -> str:
    """Text at an edge grows inwards, or the viewBox cuts it."""
    if x > width - 30:
        return "end"
    return "start" if x < 30 else "middle"
