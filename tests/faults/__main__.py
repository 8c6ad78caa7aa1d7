"""`python -m tests.faults`: every fault with three seeds, then every planted bug.

Exit 0: PASS. 1: FAIL. 3: INCONCLUSIVE, as where this machine cannot make a fault.
"""

from __future__ import annotations

import argparse
import platform
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import replace
from datetime import UTC, datetime
from itertools import product
from pathlib import Path
from typing import Any

from tests.faults.bugs import BUGS, Bug
from tests.faults.results import Caught, Cell, Outcome, overall, write
from tests.faults.scenarios import SCENARIOS, named
from tests.faults.stack import Stack, StackOptions, running_stack
from tests.faults.trial import Load, Scenario, run_trial
from tests.faults.volume import VolumeUnavailable

PROJECT = Path(__file__).resolve().parents[2]
EVENTS_OF_A_SERVICE = 29_000  # six plain trials: after each one the proof is derived of all that it ever stored
BUG_DRAIN_LIMIT_SECONDS = 25.0  # a lane that nobody wakes stays as it is; no need to wait for the whole limit
EXIT = {Outcome.PASS: 0, Outcome.FAIL: 1, Outcome.INCONCLUSIVE: 3}


def main() -> int:
    given = _arguments()
    if given.list:
        for scenario in SCENARIOS:
            print(f"{scenario.id:<32}{scenario.title}")
        return 0
    chosen = [named(name) for name in given.only] if given.only else list(SCENARIOS)
    folder = given.out or PROJECT / "artifacts" / "faults" / datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
    about = _about(given)
    cells: list[Cell] = []
    caught: list[Caught] = []
    if not given.bugs_only:
        for cell in _cells(chosen, given):
            cells.append(cell)
            print(cell.line(), flush=True)
            write(folder, cells=cells, caught=caught, about=about)
    if not given.no_bugs:
        for bug in BUGS:
            if given.only and bug.fault not in given.only and bug.id not in given.only:
                continue
            caught.append(_hunt(bug, given))
            print(f"planted bug {bug.id}: {caught[-1]}", flush=True)
            write(folder, cells=cells, caught=caught, about=about)
    outcome = overall(cells, caught) if cells else _of_bugs(caught)
    print(f"{outcome}: the table is in {folder}")
    return EXIT[outcome]


def _of_bugs(caught: Sequence[Caught]) -> Outcome:
    if any(each.is_caught is False for each in caught):
        return Outcome.FAIL
    return Outcome.PASS if caught and all(each.is_caught for each in caught) else Outcome.INCONCLUSIVE


def _arguments() -> Any:
    parser = argparse.ArgumentParser(prog="faults", description=__doc__)
    parser.add_argument("--only", type=lambda text: text.split(","), default=[], help="faults, separated by commas")
    parser.add_argument("--seeds", type=lambda text: [int(seed) for seed in text.split(",")], default=[1, 2, 3])
    parser.add_argument("--count", type=int, default=Load().count, help="events of a trial")
    parser.add_argument("--rate", type=float, default=Load().rate)
    parser.add_argument("--out", type=Path, default=None, help="folder of the table; default: artifacts/faults/<time>")
    parser.add_argument("--no-bugs", action="store_true", help="leave the planted bugs out")
    parser.add_argument("--bugs-only", action="store_true")
    parser.add_argument("--list", action="store_true", help="name the faults and end")
    return parser.parse_args()


def _about(given: Any) -> dict[str, Any]:
    commit = subprocess.run(["git", "rev-parse", "HEAD"], cwd=PROJECT, capture_output=True, text=True, check=False)
    changed = subprocess.run(["git", "status", "--porcelain"], cwd=PROJECT, capture_output=True, text=True, check=False)
    return {
        "started_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": commit.stdout.strip() or "unknown",
        "is_changed": bool(changed.stdout.strip()),
        "seeds": given.seeds,
        "events_a_trial": given.count,
        "rate": given.rate,
        "kernel": platform.release(),
        "python": platform.python_version(),
    }


def _cells(chosen: Sequence[Scenario], given: Any) -> Iterator[Cell]:
    """Faults that need the same kind of service share one, for some trials and as long as it stays healthy."""
    for options in dict.fromkeys(scenario.options for scenario in chosen):
        with ExitStack() as held:
            stack, stored_count = None, 0
            for scenario, seed in product((each for each in chosen if each.options == options), given.seeds):
                if why := scenario.untested():
                    yield _untested(scenario, seed, why)
                    continue
                if stack is None:
                    stack, stored_count = held.enter_context(running_stack(options)), 0
                cell = _cell(stack, scenario, seed=seed, given=given)
                is_fit, stored_count = _is_fit(stack, cell), stored_count + cell.stored_count
                yield cell
                if stored_count > EVENTS_OF_A_SERVICE or not is_fit:
                    held.close()
                    stack = None


def _cell(stack: Stack, scenario: Scenario, *, seed: int, given: Any) -> Cell:
    load = replace(Load(count=given.count, rate=given.rate), **scenario.load)
    began = time.monotonic()
    cell = run_trial(stack, scenario, seed=seed, load=load)
    cell.notes.append(f"took {time.monotonic() - began:.0f} s")
    return cell


def _is_fit(stack: Stack, cell: Cell) -> bool:
    """Whether the next trial may use this service. One that failed is not asked to explain itself twice."""
    if cell.outcome is not Outcome.PASS:
        return False
    try:
        stack.wait_until_ready()
    except TimeoutError as error:
        cell.complaints.append(f"not ready again: {str(error)[:200]}")
        cell.outcome = Outcome.FAIL
        return False
    return True


def _untested(scenario: Scenario, seed: int, why: str) -> Cell:
    return Cell(fault=scenario.id, title=scenario.title, seed=seed, outcome=Outcome.UNTESTED, notes=[why])


def _hunt(bug: Bug, given: Any) -> Caught:
    """Runs the fault on a service without the safety, with each seed until one of them shows it."""
    scenario = named(bug.fault)
    told = Caught(bug=bug.id, title=bug.title, fault=bug.fault, is_caught=None, by="")
    if why := scenario.untested():
        told.by = why
        return told
    for seed in given.seeds:
        try:
            with running_stack(_with_volumes(bug.options, scenario.options)) as stack:
                load = replace(Load(count=given.count, rate=given.rate), **scenario.load)
                cell = run_trial(stack, scenario, seed=seed, load=load, drain_limit_seconds=BUG_DRAIN_LIMIT_SECONDS)
        except VolumeUnavailable as error:
            told.by = str(error)
            return told
        told.is_caught = cell.outcome is Outcome.FAIL
        told.by = _shown_by(cell)
        if told.is_caught:
            break
    return told


def _with_volumes(bug: StackOptions, scenario: StackOptions) -> StackOptions:
    return replace(
        bug,
        has_volumes=bug.has_volumes or scenario.has_volumes,
        has_proxies=bug.has_proxies or scenario.has_proxies,
    )


def _shown_by(cell: Cell) -> str:
    counts = {
        "lost": cell.lost_count,
        "duplicated": cell.duplicated_count,
        "unexpected": cell.unexpected_count,
        "corrupted": cell.corrupted_count,
        "reordered": cell.reordered_count,
    }
    shown = [f"{count:,} {name}" for name, count in counts.items() if count]
    return f"seed {cell.seed}: {'; '.join([*shown, *cell.complaints[:3]]) or 'nothing was found'}"


if __name__ == "__main__":
    sys.exit(main())
