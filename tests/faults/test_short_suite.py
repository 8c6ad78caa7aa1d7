"""The seeded, short part of the fault suite: real processes, real servers, one seed, fewer events."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.faults.bugs import BUGS
from tests.faults.results import Outcome
from tests.faults.scenarios import named
from tests.faults.stack import Stack, StackOptions, running_stack
from tests.faults.trial import Load, Scenario, Strike, run_trial

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
    assert cell.sealed_leaf_count > 0


@pytest.mark.parametrize("name", SHORT_BUGS)
def test_the_suite_notices_that_a_safety_is_gone(name: str) -> None:
    bug = next(each for each in BUGS if each.id == name)
    with running_stack(bug.options) as broken:
        cell = run_trial(broken, named(bug.fault), seed=SEED, load=LOAD, drain_limit_seconds=10)
    assert cell.outcome is Outcome.FAIL
    assert cell.lost_count > 0, cell.line()


def edit_a_sealed_file(strike: Strike) -> None:
    sealed = Path(strike.stack.environ["EVIDENCE_ROOT"]) / "log" / "events"
    segment = awaited(lambda: next(iter(sorted(sealed.glob("*/segments/*.txt"))), None))
    segment.chmod(0o600)
    segment.write_bytes(segment.read_bytes().replace(b"\t", b" ", 1))


def edit_an_audit_entry(strike: Strike) -> None:
    with strike.stack.sql() as connection:
        connection.execute("ALTER TABLE evidence_auditentry DISABLE TRIGGER USER")  # as a superuser may
        connection.execute("UPDATE evidence_auditentry SET subject = subject || '!' WHERE number = 1")


EDITS = {"a sealed file": (edit_a_sealed_file, "events"), "an audit entry": (edit_an_audit_entry, "audit")}


@pytest.mark.parametrize("edited", EDITS)
def test_the_suite_notices_that_a_proof_was_edited_where_no_event_was_touched(edited: str) -> None:
    edit, named_by = EDITS[edited]
    with running_stack(StackOptions()) as stack:
        cell = run_trial(stack, Scenario(id="planted-edit", title=edited, strike=edit), seed=SEED, load=LOAD)
    assert cell.outcome is Outcome.FAIL
    assert cell.violations_count == 0
    assert cell.complaints, cell.line()
    assert all(each.startswith("the proof: ") for each in cell.complaints), cell.complaints
    assert any(named_by in each for each in cell.complaints)


def awaited[Found](find: Callable[[], Found | None]) -> Found:
    deadline = time.monotonic() + 60
    while (found := find()) is None:
        assert time.monotonic() < deadline, "nothing was sealed"
        time.sleep(0.1)
    return found
