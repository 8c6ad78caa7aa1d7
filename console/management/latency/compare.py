from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from console.management.latency.arguments import add_filters, add_range, moment_now, range_of, series_of
from console.management.latency.printing import comparison_json, comparison_lines, exit_code, grid_json
from console.management.provider.arguments import add_json
from console.management.provider.printing import say, say_json, told
from console.pages.latency_compare import THE_DAY_BEFORE, VS
from console.pages.latency_comparison import side_of, stages_compared

HELP = "Was it faster then? A range A against another, B, stage by stage. Exit 3: nothing to compare."


def add_arguments(parser: ArgumentParser) -> None:
    add_range(parser, default=("now-1h", "now"))
    add_range(parser, default=THE_DAY_BEFORE, prefix=VS)
    add_filters(parser)
    add_json(parser)


def run(*, provider: str, stage: str, json: bool, **options: Any) -> int:
    now = moment_now()
    ranges = [range_of(options, now=now, prefix=prefix) for prefix in ("", VS)]
    (grid_a, first), (grid_b, second) = (series_of(each, provider=provider, stage=stage, now=now) for each in ranges)
    found = stages_compared(first, second)
    if json:
        parts = [
            comparison_json(each, side_of(first[which]), side_of(second[which]))
            for each, which in zip(found, first, strict=True)
        ]
        say_json({"a": grid_json(grid_a), "b": grid_json(grid_b), "provider": provider or None, "parts": parts})
    else:
        for name, grid in (("A", grid_a), ("B", grid_b)):
            say(f"{name}: {told(grid.since, none='')} to {told(grid.until, none='')}")
        say(*comparison_lines(found))
    return exit_code(found)
