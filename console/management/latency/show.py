from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from console.management.latency.arguments import add_filters, add_range, moment_now, range_of, series_of
from console.management.latency.printing import DONE, NOTHING, grid_json, side_json, stage_lines
from console.management.provider.arguments import add_json
from console.management.provider.printing import say, say_json, told
from console.pages.latency_comparison import side_of
from ingestion.latency_series import StageSeries

HELP = "Percentiles of each stage in a range. Exit 3: nothing was measured in it."


def add_arguments(parser: ArgumentParser) -> None:
    add_range(parser, default=("now-1h", "now"))
    add_filters(parser)
    add_json(parser)


def run(*, provider: str, stage: str, json: bool, **options: Any) -> int:
    now = moment_now()
    grid, series = series_of(range_of(options, now=now), provider=provider, stage=stage, now=now)
    if json:
        stages = [_stage_json(each) for each in series.values()]
        say_json({**grid_json(grid), "provider": provider or None, "stages": stages})
    else:
        say(f"{told(grid.since, none='')} to {told(grid.until, none='')}, {provider or 'all providers'}")
        say(*stage_lines(series))
    return DONE if any(each.count for each in series.values()) else NOTHING


def _stage_json(series: StageSeries) -> dict[str, Any]:
    longest_ms = series.max_us / 1_000 if series.count else None
    return {"stage": series.stage.value, **(side_json(side_of(series)) or {}), "max_ms": longest_ms}
