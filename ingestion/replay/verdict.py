"""PASS, FAIL or INCONCLUSIVE, criterion by criterion. Pure.

Every criterion decides; none is weighed against another. A figure that could not be measured is INCONCLUSIVE, never a
pass. One FAIL makes the verdict FAIL, whatever else could not be measured.
"""

import math
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from ingestion.replay.figures import Figures
from ingestion.replay.findings import Kind, Reconciliation

ACCEPTED_RATIO_AT_LEAST: Final = 0.999
ACK_P95_AT_MOST_MS: Final = 120.0


class Gate(StrEnum):
    """The sets of criteria that a replay can be judged by."""

    A = "a"
    SMOKE = "smoke"  # the same criteria: shorter runs, before the long one


class Outcome(StrEnum):
    PASS = "PASS"  # noqa: S105 - a verdict
    FAIL = "FAIL"
    INCONCLUSIVE = "INCONCLUSIVE"


class Operator(StrEnum):
    AT_LEAST = ">="
    AT_MOST = "<="
    EQUAL = "=="


@dataclass(frozen=True, slots=True, kw_only=True)
class Criterion:
    """One fact against its limit. `reason` says why an INCONCLUSIVE one could not be decided."""

    name: str
    metric: str
    operator: Operator
    threshold: float
    actual: float | None
    unit: str
    outcome: Outcome
    reason: str = ""

    @property
    def margin(self) -> float | None:
        """How far the fact is on the right side of its limit; negative on the wrong side."""
        if self.actual is None or math.isnan(self.actual):
            return None
        distance = self.actual - self.threshold
        return distance if self.operator is Operator.AT_LEAST else -distance


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    gate: Gate
    outcome: Outcome
    criteria: tuple[Criterion, ...]
    doubts: tuple[str, ...]


def judge(figures: Figures, reconciliation: Reconciliation | None, *, gate: Gate = Gate.A) -> Verdict:
    """The verdict of a run. Without a reconciliation (no database to read) nothing that it would prove can pass."""
    criteria = (_accepted(figures), _ack_p95(figures), *_proved(reconciliation, promised_count=figures.acknowledged))
    doubts = reconciliation.doubts if reconciliation else ("the database could not be read: nothing was reconciled",)
    return Verdict(gate=gate, outcome=_overall(criteria, has_doubts=bool(doubts)), criteria=criteria, doubts=doubts)


def decide(*, operator: Operator, threshold: float, actual: float | None) -> Outcome:
    """Absent and NaN are INCONCLUSIVE."""
    if actual is None or math.isnan(actual):
        return Outcome.INCONCLUSIVE
    met = {
        Operator.AT_LEAST: actual >= threshold,
        Operator.AT_MOST: actual <= threshold,
        Operator.EQUAL: actual == threshold,
    }
    return Outcome.PASS if met[operator] else Outcome.FAIL


def _overall(criteria: tuple[Criterion, ...], *, has_doubts: bool) -> Outcome:
    outcomes = {criterion.outcome for criterion in criteria}
    if Outcome.FAIL in outcomes:
        return Outcome.FAIL
    return Outcome.INCONCLUSIVE if has_doubts or Outcome.INCONCLUSIVE in outcomes else Outcome.PASS


def _accepted(figures: Figures) -> Criterion:
    """Unsent counts as not accepted. Where the generator itself is to blame for it, only real rejections can fail."""
    actual = figures.accepted_ratio
    outcome = decide(operator=Operator.AT_LEAST, threshold=ACCEPTED_RATIO_AT_LEAST, actual=actual)
    reason = "" if actual is not None else "nothing was planned"
    if outcome is not Outcome.INCONCLUSIVE and not figures.kept_pace:
        is_too_many = figures.rejected > (1 - ACCEPTED_RATIO_AT_LEAST) * figures.planned
        outcome = Outcome.FAIL if is_too_many else Outcome.INCONCLUSIVE
        reason = "" if is_too_many else _pace_reason(figures)
    return Criterion(
        name="accepted",
        metric="accepted_ratio",
        operator=Operator.AT_LEAST,
        threshold=ACCEPTED_RATIO_AT_LEAST,
        actual=actual,
        unit="ratio",
        outcome=outcome,
        reason=reason,
    )


def _ack_p95(figures: Figures) -> Criterion:
    """A slow P95 fails the service unless the generator was late itself; a quick one passes only at the full rate."""
    actual = figures.ack_ms.p95
    outcome = decide(operator=Operator.AT_MOST, threshold=ACK_P95_AT_MOST_MS, actual=actual)
    reason = "" if actual is not None else f"{figures.ack_ms.count} acks are too few for a P95 (200 are needed)"
    is_trusted = figures.kept_pace if outcome is Outcome.PASS else figures.was_on_time
    if actual is not None and not is_trusted:
        outcome, reason = Outcome.INCONCLUSIVE, _pace_reason(figures)
    return Criterion(
        name="ack P95",
        metric="ack_ms.p95",
        operator=Operator.AT_MOST,
        threshold=ACK_P95_AT_MOST_MS,
        actual=actual,
        unit="ms",
        outcome=outcome,
        reason=reason,
    )


def _pace_reason(figures: Figures) -> str:
    reached = f"{figures.rate_achieved:.0f}/s of {figures.rate_offered:.0f}/s"
    if figures.was_on_time:
        return f"only {reached} went out: every connection was busy"
    return f"the generator did not keep the pace or was stopped: {reached}"


def _proved(reconciliation: Reconciliation | None, *, promised_count: int) -> tuple[Criterion, ...]:
    """What must be zero. The last four are part of "every ack in PostgreSQL exactly once with the same digest"."""
    found = reconciliation
    counts: tuple[tuple[str, str, int | None], ...] = (
        ("idempotency violations", "idempotency_violations", found.idempotency_violations if found else None),
        ("order violations", "order_violations", found.order_violations if found else None),
        ("lost", "lost", found.count(Kind.LOST) if found else None),
        ("corrupted", "corrupted", found.count(Kind.CORRUPTED) if found else None),
        ("unexpected", "unexpected", found.count(Kind.UNEXPECTED) if found else None),
        ("misplaced", "misplaced", found.count(Kind.MISPLACED) if found else None),
        ("2xx without receipt", "without_receipt", found.count(Kind.NO_RECEIPT) if found else None),
    )
    return tuple(_zero(name, metric, count, promised_count) for name, metric, count in counts)


def _zero(name: str, metric: str, actual: int | None, promised_count: int) -> Criterion:
    """Nothing found where nothing was promised is not zero."""
    known = actual if promised_count else None
    return Criterion(
        name=name,
        metric=metric,
        operator=Operator.EQUAL,
        threshold=0,
        actual=known,
        unit="events",
        outcome=decide(operator=Operator.EQUAL, threshold=0, actual=known),
        reason="" if known is not None else "there was nothing to reconcile",
    )
