from __future__ import annotations

from argparse import ArgumentParser

from console.management.errors import UsageWrong
from console.management.latency.printing import comparison_json, comparison_lines, exit_code
from console.management.provider.arguments import add_json
from console.management.provider.printing import say, say_json, told
from console.pages.latency_comparison import runs_compared, side_of_run
from evidence.runs.folders import RunUnknown, runs
from evidence.runs.latencies import RunLatencies, run_latencies

HELP = "Two replay runs, A and B, against each other; without ids the newest two. Exit 3: nothing to compare."


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("run", nargs="*", metavar="RUN_ID", help="A and B, such as r20261130T100500-1a2b3c")
    add_json(parser)


def run(*, run: list[str], json: bool, **_: object) -> int:
    first, second = (_latencies(run_id) for run_id in _asked(run))
    found = runs_compared(first, second)
    if json:
        sides = ((first.sender, second.sender), (first.receiver, second.receiver))
        parts = [
            comparison_json(each, *(side_of_run(side) for side in both))
            for each, both in zip(found, sides, strict=True)
        ]
        say_json({"a": first.run.run_id, "b": second.run.run_id, "parts": parts})
    else:
        for name, each in (("A", first), ("B", second)):
            say(f"{name}: {each.run.run_id}, {each.run.verdict}, began {told(each.run.began_at, none='')}")
        say(*comparison_lines(found))
    return exit_code(found)


def _asked(given: list[str]) -> list[str]:
    if len(given) == 2:
        return given
    if given:
        raise UsageWrong("give two runs, or none for the newest two")
    newest = [each.run_id for each in runs()[:2]]
    if len(newest) < 2:
        raise UsageWrong("there are no two runs below EVIDENCE_ROOT: `manage.py replay` makes one")
    return newest[::-1]


def _latencies(run_id: str) -> RunLatencies:
    try:
        return run_latencies(run_id)
    except RunUnknown as error:
        raise UsageWrong(str(error)) from error
