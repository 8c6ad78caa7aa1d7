"""The seeded, short part of the fault suite: real processes, real servers, one seed, fewer events."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.faults.bugs import BUGS
from tests.faults.results import Outcome
from tests.faults.scenarios import named
from tests.faults.stack import Stack, StackOptions, running_stack
from tests.faults.trial import Load, run_trial

SEED = 1
LOAD = Load(count=1_200, rate=400.0, in_flight_count=150)
SHORT = ("redis-killed", "postgres-killed", "worker-inside-the-transaction", "ingress-after-append")
SHORT_BUGS = ("ack-before-enqueue", "trim-before-commit")


@pytest.fixture(scope="module")
def stack() -> Iterator[Stack]:
    with running_stack(StackOptions()) as running:
        yield running


@pytest.mark.parametrize("fault", SHORT)
def test_nothing_is_lost_doubled_or_reordered_under(fault: str, stack: Stack) -> None:
    stack.wait_until_ready()
    cell = run_trial(stack, named(fault), seed=SEED, load=LOAD)
    assert cell.outcome is Outcome.PASS, cell.line()
    assert cell.acknowledged_count == cell.sent_count == LOAD.count


@pytest.mark.parametrize("name", SHORT_BUGS)
def test_the_suite_notices_that_a_safety_is_gone(name: str) -> None:
    bug = next(each for each in BUGS if each.id == name)
    with running_stack(bug.options) as broken:
        cell = run_trial(broken, named(bug.fault), seed=SEED, load=LOAD, drain_limit_seconds=10)
    assert cell.outcome is Outcome.FAIL
    assert cell.lost_count > 0, cell.line()
