"""A gate's specification against figures: every criterion decides, and nothing unknown passes."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest

from evidence.gates.evaluate import GateVerdict, evaluate
from evidence.gates.spec import GateUnknown, gate, gate_names
from ingestion.replay.verdict import ACCEPTED_RATIO_AT_LEAST, ACK_P95_AT_MOST_MS, Outcome

GOOD: dict[str, Any] = {
    "run_id": "r20260102T030405-0a0b0c",
    "planned": 30_000,
    "acknowledged": 30_000,
    "rejected": 0,
    "accepted_ratio": 1.0,
    "ack_ms": {"count": 30_000, "p95": 12.5},
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
}


def judged(*, missing: tuple[str, ...] = (), doubts: tuple[str, ...] = (), **changes: Any) -> GateVerdict:
    return evaluate(gate("a"), GOOD | changes, missing=missing, doubts=doubts)


def outcome_of(verdict: GateVerdict, metric: str) -> Outcome:
    (found,) = [each.outcome for each in verdict.criteria if each.metric == metric]
    return found


def test_good_figures_pass_every_criterion() -> None:
    verdict = judged()
    assert verdict.outcome is Outcome.PASS
    assert {each.outcome for each in verdict.criteria} == {Outcome.PASS}
    json.dumps(verdict.as_json(), allow_nan=False)


@pytest.mark.parametrize("metric", [each.metric for each in gate("a").criteria])
@pytest.mark.parametrize("absent", [None, math.nan, "0", True])
def test_a_figure_that_is_none_is_inconclusive(metric: str, absent: object) -> None:
    changed = {"ack_ms": {"count": 3, "p95": absent}} if metric == "ack_ms.p95" else {metric: absent}
    verdict = judged(**changed)
    assert (outcome_of(verdict, metric), verdict.outcome) == (Outcome.INCONCLUSIVE, Outcome.INCONCLUSIVE)


@pytest.mark.parametrize("metric", [each.metric for each in gate("a").criteria if each.operator == "=="])
def test_one_violation_fails_whatever_else_is_unknown(metric: str) -> None:
    verdict = judged(**{metric: 1}, missing=("data/budget/ledger.csv",), doubts=("a doubt",))
    assert (outcome_of(verdict, metric), verdict.outcome) == (Outcome.FAIL, Outcome.FAIL)


@pytest.mark.parametrize("metric", [each.metric for each in gate("a").criteria if each.operator == "=="])
def test_zero_violations_of_no_promises_prove_nothing(metric: str) -> None:
    assert outcome_of(judged(acknowledged=0), metric) is Outcome.INCONCLUSIVE


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


def test_every_gate_can_be_read_and_an_unknown_one_names_them() -> None:
    assert [gate(name).name for name in gate_names()] == ["a", "smoke"]
    with pytest.raises(GateUnknown, match="known: a, smoke"):
        gate("../a")
