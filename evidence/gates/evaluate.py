"""PASS, FAIL or INCONCLUSIVE of a run by a gate's specification. Pure.

Every criterion decides; none is weighed against another. What was not measured, a required file that is not there, and
a doubt about the journal make a verdict INCONCLUSIVE; one FAIL makes it FAIL whatever else is unknown.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from evidence.gates.spec import CriterionSpec, GateSpec
from ingestion.replay.figures import OWN_DELAY_LIMIT_MS
from ingestion.replay.verdict import Criterion, Operator, Outcome, decide

ACCEPTED, ACK_P95 = "accepted_ratio", "ack_ms.p95"
# what a reconciliation counts: nothing found where nothing was promised is not zero
RECONCILED = frozenset(
    {
        *("idempotency_violations", "order_violations", "lost", "duplicates", "corrupted", "unexpected"),
        *("misplaced", "without_receipt"),
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class GateVerdict:
    gate: str
    version: int
    run_id: str
    outcome: Outcome
    criteria: Sequence[Criterion]
    missing: Sequence[str]
    doubts: Sequence[str]

    def as_json(self) -> dict[str, Any]:
        return {
            "verdict": self.outcome.value,
            "gate": self.gate,
            "version": self.version,
            "run_id": self.run_id,
            "criteria": [_told(each) for each in self.criteria],
            "missing": list(self.missing),
            "doubts": list(self.doubts),
        }


def evaluate(
    spec: GateSpec, figures: Mapping[str, Any], *, missing: Sequence[str], doubts: Sequence[str]
) -> GateVerdict:
    """`figures` are a run's summary; `missing` the required files whose source does not exist."""
    criteria = [_judged(each, figures) for each in spec.criteria]
    return GateVerdict(
        gate=spec.name,
        version=spec.version,
        run_id=str(figures["run_id"]),
        outcome=_overall(criteria, is_in_doubt=bool(missing or doubts)),
        criteria=criteria,
        missing=sorted(missing),
        doubts=list(doubts),
    )


def _overall(criteria: Sequence[Criterion], *, is_in_doubt: bool) -> Outcome:
    outcomes = {criterion.outcome for criterion in criteria}
    if Outcome.FAIL in outcomes:
        return Outcome.FAIL
    is_unknown = is_in_doubt or not criteria or Outcome.INCONCLUSIVE in outcomes
    return Outcome.INCONCLUSIVE if is_unknown else Outcome.PASS


def _judged(spec: CriterionSpec, figures: Mapping[str, Any]) -> Criterion:
    actual = _figure(figures, spec.metric)
    outcome = decide(operator=spec.operator, threshold=spec.threshold, actual=actual)
    reason = "" if outcome is not Outcome.INCONCLUSIVE else _why_unknown(spec.metric, figures)
    if outcome is not Outcome.INCONCLUSIVE and spec.metric == ACCEPTED:
        outcome, reason = _accepted(spec, outcome, figures)
    elif outcome is not Outcome.INCONCLUSIVE and spec.metric == ACK_P95:
        outcome, reason = _ack_p95(outcome, figures)
    return Criterion(
        name=spec.name,
        metric=spec.metric,
        operator=spec.operator,
        threshold=spec.threshold,
        actual=actual,
        unit=spec.unit,
        outcome=outcome,
        reason=reason,
    )


def _figure(figures: Mapping[str, Any], metric: str) -> float | None:
    """None where it is absent, no number, or nothing was promised that it could be a count of."""
    found: Any = figures
    for name in metric.split("."):
        found = found.get(name) if isinstance(found, Mapping) else None
    if isinstance(found, bool) or not isinstance(found, int | float) or not math.isfinite(found):
        return None
    return None if metric in RECONCILED and not figures.get("acknowledged") else found


def _why_unknown(metric: str, figures: Mapping[str, Any]) -> str:
    if metric in RECONCILED:
        return "there was nothing to reconcile"
    if metric == ACK_P95:
        count = figures.get("ack_ms", {}).get("count", 0)
        return f"{count} acks are too few for a P95 (200 are needed)"
    return "it was not measured"


def _accepted(spec: CriterionSpec, outcome: Outcome, figures: Mapping[str, Any]) -> tuple[Outcome, str]:
    """Unsent counts as not accepted. Where the generator itself is to blame for it, only real rejections can fail."""
    if figures.get("kept_pace"):
        return outcome, ""
    if figures["rejected"] > (1 - spec.threshold) * figures["planned"]:
        return Outcome.FAIL, ""
    return Outcome.INCONCLUSIVE, _pace_reason(figures)


def _ack_p95(outcome: Outcome, figures: Mapping[str, Any]) -> tuple[Outcome, str]:
    """A slow P95 fails the service unless the generator was late itself; a quick one passes only at the full rate."""
    is_trusted = figures.get("kept_pace") if outcome is Outcome.PASS else _was_on_time(figures)
    return (outcome, "") if is_trusted else (Outcome.INCONCLUSIVE, _pace_reason(figures))


def _was_on_time(figures: Mapping[str, Any]) -> bool:
    check = figures.get("generator")
    if not check:  # the generator died before it could tell
        return False
    return not check["was_interrupted"] and bool(check["own_delay_p99_ms"] < OWN_DELAY_LIMIT_MS)


def _pace_reason(figures: Mapping[str, Any]) -> str:
    reached = f"{figures['rate_achieved']:.0f}/s of {figures['rate_offered']:.0f}/s"
    if _was_on_time(figures):
        return f"only {reached} went out: every connection was busy"
    return f"the generator did not keep the pace or was stopped: {reached}"


def _told(criterion: Criterion) -> dict[str, Any]:
    return {
        "name": criterion.name,
        "metric": criterion.metric,
        "operator": Operator(criterion.operator).value,
        "threshold": criterion.threshold,
        "unit": criterion.unit,
        "actual": criterion.actual,
        "margin": criterion.margin,
        "outcome": criterion.outcome.value,
        "reason": criterion.reason,
    }
