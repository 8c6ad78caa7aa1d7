"""PASS, FAIL or INCONCLUSIVE of a run by a gate's specification. Pure.

Every criterion decides; none is weighed against another. What was not measured, a required file that is not there, and
a doubt about the journal make a verdict INCONCLUSIVE; one FAIL makes it FAIL whatever else is unknown.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from evidence.gates.confidence import Confidence, confidence
from evidence.gates.spec import CriterionSpec, GateSpec
from ingestion.replay.figures import OWN_DELAY_LIMIT_MS
from ingestion.replay.verdict import Criterion, Operator, Outcome, decide

ACCEPTED, ACK_P95 = "accepted_ratio", "ack_ms.p95"
P95_SHARE = 0.05  # of acks that may be slower than a P95
# what a reconciliation counts: nothing found where nothing was promised is not zero
RECONCILED = frozenset(
    {
        *("idempotency_violations", "order_violations", "lost", "duplicates", "corrupted", "unexpected"),
        *("misplaced", "without_receipt"),
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class GateCriterion(Criterion):
    """`age`: of what is judged, at the end of the run; None for the run's own figures. `at_95`: whether the threshold
    holds with 95% confidence; None where that is no question of a sample.
    """

    source: str = ""
    age: timedelta | None = None
    at_95: Confidence | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class GateVerdict:
    gate: str
    version: int
    run_id: str
    outcome: Outcome
    criteria: Sequence[GateCriterion]
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
    spec: GateSpec,
    figures: Mapping[str, Any],
    *,
    missing: Sequence[str],
    doubts: Sequence[str],
    ended_at: datetime | None = None,
) -> GateVerdict:
    """`figures` are a run's summary with the facts of its bundle; `missing` the required files whose source does not
    exist; `ended_at` the end of the run, which ages count back from.
    """
    criteria = [_aged(each, _judged(each, figures), figures, ended_at=ended_at) for each in spec.criteria]
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


def _judged(spec: CriterionSpec, figures: Mapping[str, Any]) -> GateCriterion:
    actual = _figure(figures, spec.metric)
    outcome = decide(operator=spec.operator, threshold=spec.threshold, actual=actual)
    reason = "" if outcome is not Outcome.INCONCLUSIVE else _why_unknown(spec.metric, figures)
    if outcome is not Outcome.INCONCLUSIVE and spec.metric == ACCEPTED:
        outcome, reason = _accepted(spec, outcome, figures)
    elif outcome is not Outcome.INCONCLUSIVE and spec.metric == ACK_P95:
        outcome, reason = _ack_p95(outcome, figures)
    return GateCriterion(
        name=spec.name,
        metric=spec.metric,
        operator=spec.operator,
        threshold=spec.threshold,
        actual=actual,
        unit=spec.unit,
        outcome=outcome,
        reason=reason,
        source=spec.source,
        at_95=_at_95(spec, figures),
    )


def _aged(
    spec: CriterionSpec, judged: GateCriterion, figures: Mapping[str, Any], *, ended_at: datetime | None
) -> GateCriterion:
    """What is too old to be believed decides nothing, good or bad; nor does what does not say when it was found out."""
    if spec.max_age_hours is None:
        return judged
    group = figures.get(spec.metric.partition(".")[0])
    age = _age(group.get("at") if isinstance(group, Mapping) else None, ended_at)
    if age is None:
        reason = judged.reason or "nothing says when it was found out"
        return replace(judged, outcome=Outcome.INCONCLUSIVE, reason=reason)
    if age > timedelta(hours=spec.max_age_hours):
        hours = f"{age / timedelta(hours=1):.1f} hours old, {spec.max_age_hours:g} are allowed"
        return replace(judged, age=age, outcome=Outcome.INCONCLUSIVE, reason=hours)
    return replace(judged, age=age)


def _age(at: object, ended_at: datetime | None) -> timedelta | None:
    """Never negative: what was found out after the run is as fresh as it can be."""
    try:
        return None if ended_at is None else max(timedelta(0), ended_at - datetime.fromisoformat(str(at)))
    except (ValueError, TypeError):
        return None


def _at_95(spec: CriterionSpec, figures: Mapping[str, Any]) -> Confidence | None:
    if spec.metric == ACCEPTED:
        planned, accepted = figures.get("planned"), figures.get("accepted")
        return _confidence(planned, accepted, share=1 - spec.threshold)
    acks = figures.get("acks")  # of the journal: the exact count at or under the threshold
    if spec.metric == ACK_P95 and isinstance(acks, Mapping):
        return _confidence(acks.get("count"), acks.get("within"), share=P95_SHARE)
    return None


def _confidence(count: object, good_count: object, *, share: float) -> Confidence | None:
    if type(count) is not int or type(good_count) is not int or not 0 <= good_count <= count or not 0 < share < 1:
        return None
    return confidence(count - good_count, count=count, share=share)


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


def _told(criterion: GateCriterion) -> dict[str, Any]:
    at_95 = criterion.at_95
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
        "source": criterion.source,
        "age_hours": None if criterion.age is None else criterion.age / timedelta(hours=1),
        "at_95": None
        if at_95 is None
        else {"holds": at_95.holds, "bad": at_95.bad_count, "count": at_95.count, "limit": at_95.limit_count},
    }
