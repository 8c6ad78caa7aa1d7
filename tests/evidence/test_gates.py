"""A gate's specification against figures: every criterion decides, and nothing unknown passes."""

from __future__ import annotations

import json
import math
from copy import deepcopy
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from evidence.gates.confidence import Confidence
from evidence.gates.evaluate import RECONCILED, GateVerdict, evaluate
from evidence.gates.spec import GateUnknown, gate, gate_names
from ingestion.replay.verdict import ACCEPTED_RATIO_AT_LEAST, ACK_P95_AT_MOST_MS, Outcome
from tests.faults.bugs import BUGS
from tests.faults.scenarios import SCENARIOS
from tests.faults.trial import Load

ENDED_AT = datetime(2026, 1, 2, 12, tzinfo=UTC)
AT = (ENDED_AT - timedelta(hours=2)).isoformat()
P95, PLANNED = {"count": 30_000, "p95": 12.5}, 30_000
GOOD: dict[str, Any] = {
    "run_id": "r20260102T030405-0a0b0c",
    "planned": PLANNED,
    "accepted": PLANNED,
    "acknowledged": PLANNED,
    "rejected": 0,
    "accepted_ratio": 1.0,
    "ack_ms": P95,
    "acks": {"count": PLANNED, "within": PLANNED},
    "kept_pace": True,
    "rate_offered": 1_000.0,
    "rate_achieved": 1_000.0,
    "generator": {"was_interrupted": False, "own_delay_p99_ms": 1.0},
    **dict.fromkeys(
        (
            *("idempotency_violations", "order_violations", "lost", "corrupted", "unexpected", "misplaced"),
            "without_receipt",
        ),
        0,
    ),
    "smoke": {"planned": 1_000, "accepted_ratio": 1.0, "ack_ms": {"p95": 30.0}, "at": AT},
    "rbac": {"cells": 900, "mismatches": 0, "untested": 0, "at": AT},
    "audit": {"findings": 0},
    "faults": {
        "kinds": len(SCENARIOS),
        "fewest_seeds": 3,
        "fewest_events": Load().count,
        "not_passed": 0,
        "bugs_missed": 0,
        "bugs_caught": len(BUGS),
        "at": AT,
    },
    "rollback": {"seconds": 3.0, "at": AT},
    "freeze": {"entry": 7, "at": AT},
}
CRITERIA = gate("a").criteria
NONE_ALLOWED = [each.metric for each in CRITERIA if each.operator == "=="]


def judged(*, missing: tuple[str, ...] = (), doubts: tuple[str, ...] = (), **changes: Any) -> GateVerdict:
    return evaluate(gate("a"), GOOD | changes, missing=missing, doubts=doubts, ended_at=ENDED_AT)


def with_figure(metric: str, value: object) -> dict[str, Any]:
    """The good figures with this one, whose name may have dots, in the place of its own."""
    name, _, rest = metric.partition(".")
    if not rest:
        return {name: value}
    group = deepcopy(GOOD[name])
    *path, last = rest.split(".")
    inner = group
    for each in path:
        inner = inner[each]
    inner[last] = value
    return {name: group}


def outcome_of(verdict: GateVerdict, metric: str) -> Outcome:
    (found,) = [each.outcome for each in verdict.criteria if each.metric == metric]
    return found


def test_good_figures_pass_every_criterion() -> None:
    verdict = judged()
    assert {each.metric: each.reason for each in verdict.criteria if each.outcome is not Outcome.PASS} == {}
    assert verdict.outcome is Outcome.PASS
    json.dumps(verdict.as_json(), allow_nan=False)


@pytest.mark.parametrize("metric", [each.metric for each in CRITERIA])
@pytest.mark.parametrize("absent", [None, math.nan, "0", True])
def test_a_figure_that_is_none_is_inconclusive(metric: str, absent: object) -> None:
    verdict = judged(**with_figure(metric, absent))
    assert (outcome_of(verdict, metric), verdict.outcome) == (Outcome.INCONCLUSIVE, Outcome.INCONCLUSIVE)


@pytest.mark.parametrize("group", ["smoke", "rbac", "audit", "faults", "rollback", "freeze"])
def test_a_part_that_is_not_there_leaves_its_criteria_inconclusive(group: str) -> None:
    changed: dict[str, Any] = {group: None}
    verdict = judged(**changed)
    of_it = {each.outcome for each in verdict.criteria if each.metric.startswith(f"{group}.")}
    assert (of_it, verdict.outcome) == ({Outcome.INCONCLUSIVE}, Outcome.INCONCLUSIVE)


@pytest.mark.parametrize("metric", NONE_ALLOWED)
def test_one_violation_fails_whatever_else_is_unknown(metric: str) -> None:
    verdict = judged(**with_figure(metric, 1), missing=("data/budget/ledger.csv",), doubts=("a doubt",))
    assert (outcome_of(verdict, metric), verdict.outcome) == (Outcome.FAIL, Outcome.FAIL)


@pytest.mark.parametrize("metric", [metric for metric in NONE_ALLOWED if metric in RECONCILED])
def test_zero_violations_of_no_promises_prove_nothing(metric: str) -> None:
    assert outcome_of(judged(acknowledged=0), metric) is Outcome.INCONCLUSIVE


AGED = [each.metric for each in CRITERIA if each.max_age_hours is not None]


@pytest.mark.parametrize("metric", AGED)
@pytest.mark.parametrize(
    ("at", "word"),
    [
        ((ENDED_AT - timedelta(hours=24, seconds=1)).isoformat(), "24 are allowed"),
        ("yesterday", "nothing says when"),
        ("2026-01-02T10:00:00", "nothing says when"),  # in no zone
        (None, "nothing says when"),
    ],
)
def test_what_is_too_old_or_does_not_say_decides_nothing(metric: str, at: object, word: str) -> None:
    group = metric.partition(".")[0]
    changed: dict[str, Any] = {group: {**GOOD[group], "at": at}}
    verdict = judged(**changed)
    (found,) = [each for each in verdict.criteria if each.metric == metric]
    assert (found.outcome, verdict.outcome) == (Outcome.INCONCLUSIVE, Outcome.INCONCLUSIVE)
    assert word in found.reason


def test_an_old_failure_decides_nothing_either() -> None:
    old = {"seconds": 90.0, "at": (ENDED_AT - timedelta(days=2)).isoformat()}
    assert outcome_of(judged(rollback=old), "rollback.seconds") is Outcome.INCONCLUSIVE
    assert outcome_of(judged(rollback={"seconds": 90.0, "at": AT}), "rollback.seconds") is Outcome.FAIL


def test_ages_are_told_and_what_was_found_out_after_the_run_is_fresh() -> None:
    ages = {each.metric: each.age for each in judged().criteria}
    assert (ages["rbac.mismatches"], ages["lost"]) == (timedelta(hours=2), None)
    later = {"seconds": 3.0, "at": (ENDED_AT + timedelta(hours=1)).isoformat()}
    (found,) = [each for each in judged(rollback=later).criteria if each.metric == "rollback.seconds"]
    assert (found.age, found.outcome) == (timedelta(0), Outcome.PASS)


def test_whether_a_threshold_holds_with_95_percent_confidence_stands_beside_the_verdict() -> None:
    told = {
        each.metric: each.at_95 for each in judged(accepted=29_979, acks={"count": 30_000, "within": 28_563}).criteria
    }
    assert told["lost"] is None
    assert (told["accepted_ratio"], told["ack_ms.p95"]) == (
        Confidence(bad_count=21, count=30_000, limit_count=20),
        Confidence(bad_count=1_437, count=30_000, limit_count=1_437),
    )
    held = {each.metric: each.at_95.holds for each in judged(accepted=29_979).criteria if each.at_95}
    assert held == {"accepted_ratio": False, "ack_ms.p95": True}


def test_a_missing_file_or_a_doubt_makes_good_figures_inconclusive() -> None:
    assert judged(missing=("data/faults/faults.json",)).outcome is Outcome.INCONCLUSIVE
    assert judged(doubts=("the journal has no end line",)).outcome is Outcome.INCONCLUSIVE


LATE = {"was_interrupted": False, "own_delay_p99_ms": 20.0}


@pytest.mark.parametrize(
    ("changes", "accepted", "p95"),
    [
        ({"accepted_ratio": 0.9989, "rejected": 33}, Outcome.FAIL, Outcome.PASS),
        ({"kept_pace": False, "accepted_ratio": 0.5}, Outcome.INCONCLUSIVE, Outcome.INCONCLUSIVE),
        ({"kept_pace": False, "rejected": 31}, Outcome.FAIL, Outcome.INCONCLUSIVE),
        ({"ack_ms": {"count": 300, "p95": 120.001}}, Outcome.PASS, Outcome.FAIL),
        ({"ack_ms": {"count": 300, "p95": 121.0}, "generator": LATE, "kept_pace": False}, *[Outcome.INCONCLUSIVE] * 2),
        ({"ack_ms": {"count": 300, "p95": 121.0}, "kept_pace": False}, Outcome.INCONCLUSIVE, Outcome.FAIL),
    ],
)
def test_the_generators_own_lateness_is_never_blamed_on_the_service(
    changes: dict[str, Any], accepted: Outcome, p95: Outcome
) -> None:
    verdict = judged(**changes)
    assert (outcome_of(verdict, "accepted_ratio"), outcome_of(verdict, "ack_ms.p95")) == (accepted, p95)


def test_the_spec_of_gate_a_has_the_limits_that_the_replay_judges_by() -> None:
    limits = {each.metric: each.threshold for each in gate("a").criteria}
    assert (limits["accepted_ratio"], limits["ack_ms.p95"]) == (ACCEPTED_RATIO_AT_LEAST, ACK_P95_AT_MOST_MS)


@pytest.mark.parametrize("metric", ["kinds", "fewest_seeds", "fewest_events", "bugs_caught"])
def test_gate_a_asks_for_the_whole_fault_suite(metric: str) -> None:
    whole = GOOD["faults"][metric]
    assert judged().outcome is Outcome.PASS
    assert judged(faults=GOOD["faults"] | {metric: whole - 1}).outcome is Outcome.FAIL


def test_every_gate_can_be_read_and_an_unknown_one_names_them() -> None:
    assert [gate(name).name for name in gate_names()] == ["a", "smoke"]
    with pytest.raises(GateUnknown, match="known: a, smoke"):
        gate("../a")
