"""How the verbs print percentiles. Where a sample is too small to tell: UNKNOWN, and null for programs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from fractions import Fraction
from typing import Any

from console.management.provider.printing import iso
from console.pages.latency_comparison import Comparison, Side
from console.pages.latency_figures import SHOWN
from console.pages.overview_figures import STAGE_TITLES
from console.shown import UNKNOWN, milliseconds
from ingestion.latency import Stage
from ingestion.latency_distribution import Distribution
from ingestion.latency_series import Grid, StageSeries

DONE, NOTHING = 0, 3  # exit codes: of nothing nobody can say whether it was fast
HEADS = ("count", "over 120 ms", *(name for _, name in SHOWN))
WIDTH_CHARS = 12


def grid_json(grid: Grid) -> dict[str, Any]:
    """As it was read: outwards to what is kept apart, which is minutes, or hours of what is older than two days."""
    return {"since": iso(grid.since), "until": iso(grid.until)}


def side_json(side: Side | None) -> dict[str, Any] | None:
    if side is None:
        return None
    found = side.distribution
    return {
        "count": found.count,
        "over_slo_count": side.over_slo_count,
        **{_key(name): _ms(found, percent) for percent, name in SHOWN},
    }


def _key(name: str) -> str:
    """`P99.9` is `p999_ms`, as in the API."""
    return f"{name.lower().replace('.', '')}_ms"


def _ms(found: Distribution, percent: Fraction) -> float | None:
    value_us = found.percentile_us(percent)
    return None if value_us is None else value_us / 1_000


def stage_lines(series: Mapping[Stage, StageSeries]) -> Iterator[str]:
    yield f"{'':<22}" + "".join(f"{head:>{WIDTH_CHARS}}" for head in (*HEADS, "max"))
    for each in series.values():
        over_count = each.count - each.within_slo_count
        figures = [milliseconds(_ms(each.distribution, percent)) for percent, _ in SHOWN]
        longest = milliseconds(each.max_us / 1_000 if each.count else None)
        cells = (f"{each.count:,}", f"{over_count:,}" if each.count else UNKNOWN, *figures, longest)
        yield f"{STAGE_TITLES[each.stage]:<22}" + "".join(f"{cell:>{WIDTH_CHARS}}" for cell in cells)


def comparison_json(found: Comparison, first: Side | None, second: Side | None) -> dict[str, Any]:
    return {
        "part": found.key,
        "a": side_json(first),
        "b": side_json(second),
        "told": list(found.told),
        "nothing": found.nothing,
    }


def comparison_lines(found: Sequence[Comparison]) -> Iterator[str]:
    for each in found:
        yield each.title
        if each.nothing:
            yield f"  {each.nothing}"
            continue
        yield f"  {'':<14}{'A':>{WIDTH_CHARS}}{'B':>{WIDTH_CHARS}}"
        for row in each.rows:
            yield f"  {row.name:<14}{row.first:>{WIDTH_CHARS}}{row.second:>{WIDTH_CHARS}}"
        yield from (f"  {sentence}" for sentence in each.told)


def exit_code(found: Sequence[Comparison]) -> int:
    return NOTHING if all(each.nothing for each in found) else DONE
