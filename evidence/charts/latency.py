"""The distribution of latencies as one SVG: logarithmic axis, the objective's line, percentiles marked."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from itertools import pairwise

from evidence.charts.axis import Tick, anchor_at, milliseconds_label, ticks_between

WIDTH, HEIGHT = 720.0, 240.0
TOP, BOTTOM, SIDE = 46.0, 28.0, 16.0
BUCKETS_PER_DECADE = 12
BAR_HEIGHT_AT_LEAST = 2.0  # one slow ack among thousands must still be seen
LINE_HEIGHT = 13.0
STYLE = """
.plot{font:11px ui-sans-serif,system-ui,sans-serif;fill:#334155}
.plot text{paint-order:stroke;stroke:#fff;stroke-width:3px}
.plot .bar{fill:#2563eb}.plot .over{fill:#dc2626}.plot .axis{stroke:#94a3b8}
.plot .objective{stroke:#dc2626;stroke-dasharray:4 3}.plot .mark{stroke:#0f172a;stroke-width:.8}
@media (prefers-color-scheme:dark){.plot{fill:#cbd5e1}
.plot text{stroke:#0f172a}.plot .bar{fill:#60a5fa}.plot .over{fill:#f87171}
.plot .objective{stroke:#f87171}.plot .mark{stroke:#f1f5f9}}
@media print{.plot{fill:#000}
.plot text{stroke:#fff}.plot .bar{fill:#2563eb}.plot .over{fill:#dc2626}.plot .mark{stroke:#000}}
"""


@dataclass(frozen=True, slots=True)
class _Scale:
    low_ms: float
    high_ms: float

    def x(self, value_ms: float) -> float:
        inside = min(max(value_ms, self.low_ms), self.high_ms)
        share = math.log(inside / self.low_ms) / math.log(self.high_ms / self.low_ms)
        return round(SIDE + share * (WIDTH - 2 * SIDE), 1)


def latency_svg(
    title: str, counts_us: Sequence[tuple[int, int]], *, objective_ms: float, marks_ms: Mapping[str, float]
) -> str:
    """`counts_us` are (value, count) pairs in ascending order. The text is the same for the same numbers."""
    edges_ms = _edges(counts_us, objective_ms)
    bars = _binned(counts_us, edges_ms)
    scale, baseline = _Scale(edges_ms[0], edges_ms[-1]), HEIGHT - BOTTOM
    highest = max(bars, default=0) or 1
    total = sum(count for _, count in counts_us)
    told = f"{title}: {total:,} values; " + ", ".join(f"{name} {value:.1f} ms" for name, value in marks_ms.items())
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" class="plot" role="img" viewBox="0 0 {WIDTH:g} {HEIGHT:g}">',
        f"<title>{escape(told)}</title><style>{STYLE}</style>",
        *(
            _bar(scale, lower, upper, count / highest, baseline, is_over=lower >= objective_ms)
            for (lower, upper), count in zip(pairwise(edges_ms), bars, strict=True)
            if count
        ),
        _line("axis", SIDE, WIDTH - SIDE, baseline, baseline),
        *(
            _text(tick, baseline + 16)
            for tick in ticks_between(scale.x, low_ms=scale.low_ms, high_ms=scale.high_ms, width=WIDTH)
        ),
        _upright("objective", scale.x(objective_ms), TOP - 30, baseline),
        _text(_label(scale, objective_ms, f"objective {milliseconds_label(objective_ms)}"), TOP - 34),
        *_marked(scale, marks_ms, baseline),
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


def _edges(counts_us: Sequence[tuple[int, int]], objective_ms: float) -> list[float]:
    """Equal steps on the logarithmic axis, outwards from the objective: no bar lies on both sides of its line."""
    lowest_ms = counts_us[0][0] / 1_000 if counts_us else objective_ms
    highest_ms = counts_us[-1][0] / 1_000 if counts_us else objective_ms
    down = math.ceil(max(math.log10(objective_ms / lowest_ms), 0.5) * BUCKETS_PER_DECADE)
    up = math.ceil(max(math.log10(highest_ms / objective_ms), 0.25) * BUCKETS_PER_DECADE)
    return [objective_ms * 10 ** (step / BUCKETS_PER_DECADE) for step in range(-down, up + 1)]


def _binned(counts_us: Sequence[tuple[int, int]], edges_ms: Sequence[float]) -> list[int]:
    """How many values are above each edge and not above the next; the first bar takes what is on the lowest edge."""
    bars = [0] * (len(edges_ms) - 1)
    at = 0
    for value_us, count in counts_us:
        while at < len(bars) - 1 and value_us / 1_000 > edges_ms[at + 1]:
            at += 1
        bars[at] += count
    return bars


def _bar(scale: _Scale, lower: float, upper: float, share: float, baseline: float, *, is_over: bool) -> str:
    left, right = scale.x(lower), scale.x(upper)
    height = round(max(share * (baseline - TOP), BAR_HEIGHT_AT_LEAST), 1)
    name = "bar over" if is_over else "bar"
    size = f'width="{max(right - left - 1, 0.5):.1f}" height="{height}"'
    return f'<rect class="{name}" x="{left}" y="{baseline - height:.1f}" {size}/>'


def _marked(scale: _Scale, marks_ms: Mapping[str, float], baseline: float) -> list[str]:
    """Each percentile's line; labels that would meet stand one below the other."""
    parts = []
    for row, (name, value_ms) in enumerate(marks_ms.items()):
        y = TOP + 4 + row * LINE_HEIGHT
        parts += [
            _upright("mark", scale.x(value_ms), y - 4, baseline),
            _text(_label(scale, value_ms, f" {name} {value_ms:.1f} ms "), y),
        ]
    return parts


def _label(scale: _Scale, value_ms: float, text: str) -> Tick:
    x = scale.x(value_ms)
    side = "end" if x > WIDTH / 2 else "start"
    return Tick(x - 4 if side == "end" else x + 4, text.strip(), side if 30 < x < WIDTH - 30 else anchor_at(x, WIDTH))


def _text(tick: Tick, y: float) -> str:
    return f'<text x="{tick.x:g}" y="{y:g}" text-anchor="{tick.anchor}">{escape(tick.label)}</text>'


def _upright(name: str, x: float, top: float, bottom: float) -> str:
    return _line(name, x, x, top, bottom)


def _line(name: str, x1: float, x2: float, y1: float, y2: float) -> str:
    return f'<line class="{name}" x1="{x1:g}" x2="{x2:g}" y1="{y1:g}" y2="{y2:g}"/>'
