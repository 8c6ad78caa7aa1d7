"""A verdict for people and for machines. Pure."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from ingestion.replay.figures import Quantiles
from ingestion.replay.findings import Kind, Reconciliation
from ingestion.replay.history import History
from ingestion.replay.run import GeneratorResult
from ingestion.replay.verdict import Criterion, Outcome, Verdict

EXIT_CODES = {Outcome.PASS: 0, Outcome.FAIL: 1, Outcome.INCONCLUSIVE: 3}
MARKS = {Outcome.PASS: "pass", Outcome.FAIL: "FAIL", Outcome.INCONCLUSIVE: "????"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """Everything that a replay found out."""

    result: GeneratorResult
    reconciliation: Reconciliation | None
    verdict: Verdict
    is_drained: bool
    drained_after_seconds: float | None  # from the last ack to the last commit; None where it did not come to that

    @property
    def exit_code(self) -> int:
        return EXIT_CODES[self.verdict.outcome]


def summary(report: Report) -> dict[str, Any]:
    """The figures under stable names, ready for JSON: no NaN, None where there is nothing to say."""
    figures, found = report.result.figures, report.reconciliation
    history = report.result.history
    return {
        "verdict": report.verdict.outcome,
        "gate": report.verdict.gate,
        "run_id": history.run_id,
        "planned": figures.planned,
        "sent": figures.sent,
        "unsent": figures.unsent,
        "accepted": figures.accepted,
        "rejected": figures.rejected,
        "accepted_ratio": figures.accepted_ratio,
        "accepted_after_retry": figures.accepted_after_retry,
        "acknowledged": figures.acknowledged,
        "answered_duplicate": figures.answered_duplicate,
        "duplicates_sent": sum(send.planned.duplicate_of is not None for send in history.sends if send.attempts),
        "outcome_unknown": figures.unknown,
        "retries": figures.retries,
        "ack_ms": asdict(figures.ack_ms),
        "service_ms": asdict(figures.service_ms),
        "lost": found and found.count(Kind.LOST),
        "duplicates": found and found.count(Kind.DUPLICATED),
        "idempotency_violations": found and found.idempotency_violations,
        "order_violations": found and found.order_violations,
        "corrupted": found and found.count(Kind.CORRUPTED),
        "unexpected": found and found.count(Kind.UNEXPECTED),
        "misplaced": found and found.count(Kind.MISPLACED),
        "without_receipt": found and found.count(Kind.NO_RECEIPT),
        "stored": found and found.stored_count,
        "stored_without_ack": found and found.stored_without_ack_count,
        "recovered": found and found.recovered_count,
        "is_drained": report.is_drained,
        "drained_after_seconds": report.drained_after_seconds,
        "criteria": [asdict(criterion) | {"margin": criterion.margin} for criterion in report.verdict.criteria],
        "doubts": list(report.verdict.doubts),
        "examples": [asdict(found.findings[kind][0]) for kind in found.findings] if found else [],
        "events_expected": _expected_count(history),
        "events_named_by": _named_by(history),
        "refusals": dict(figures.refusals),
        "seed": history.header["seed"],
        "rate_offered": figures.rate_offered,
        "rate_achieved": figures.rate_achieved,
        "kept_pace": figures.kept_pace,
        "generator": asdict(history.self_check) if history.self_check else None,
        "target": history.header["target"],
        "provider": history.provider,
    }


def _expected_count(history: History) -> int | None:
    """Events in the acknowledged deliveries; None where the plan does not know what a delivery holds."""
    known = [send.planned.events for send in history.sends if send.acknowledged and send.planned.events is not None]
    return sum(map(len, known)) if known else None


def _named_by(history: History) -> str:
    if history.is_generated:
        return "the plan"
    knows = any(send.planned.events is not None for send in history.sends)
    return "the adapter's own identify" if knows else "the receipts"


def as_json(report: Report) -> str:
    return json.dumps(summary(report), allow_nan=False)


def as_text(report: Report) -> str:
    """What a person reads: how it went, the criteria, and an example for whatever is wrong."""
    return "\n".join(
        [*_course(report), "", *_table(report.verdict.criteria), *_remarks(report), "", _last_line(report)]
    )


def _course(report: Report) -> Iterator[str]:
    figures, history = report.result.figures, report.result.history
    offered = f"{figures.rate_offered:,.0f}/s" if figures.rate_offered else "as fast as possible"
    header = history.header
    yield f"Replay {history.run_id} to {header['target']}{header['path']}, seed {header['seed']}"
    yield (
        f"  sent        {figures.sent:,} of {figures.planned:,} in {figures.sending_seconds:.1f} s: "
        f"{figures.rate_achieved:,.1f}/s, offered {offered}"
    )
    yield (
        f"  accepted    {figures.accepted:,} at once, {figures.accepted_after_retry:,} after a retry; "
        f"{figures.answered_duplicate:,} were known as duplicates; {figures.retries:,} retries"
    )
    yield f"  ack         {_quantiles(figures.ack_ms)}   (from the intended moment)"
    yield f"  service     {_quantiles(figures.service_ms)}   (from the moment of sending)"
    if (expected_count := _expected_count(history)) is not None:
        named_by = _named_by(history)
        yield f"  events      {expected_count:,} in the acknowledged deliveries, repeats included, named by {named_by}"
    if report.reconciliation:
        after = report.drained_after_seconds
        drained = "not drained in time" if not report.is_drained else f"drained {after or 0:.2f} s after the last ack"
        yield (
            f"  stored      {report.reconciliation.stored_count:,} rows, {drained}"
            f"; {report.reconciliation.stored_without_ack_count:,} of them without an ack"
        )


def _quantiles(quantiles: Quantiles) -> str:
    named = (
        ("P50", quantiles.p50),
        ("P95", quantiles.p95),
        ("P99", quantiles.p99),
        ("P99.9", quantiles.p999),
        ("max", quantiles.max),
    )
    told = ", ".join(f"{name} {value:.1f}" for name, value in named if value is not None)
    return f"{told} ms, n = {quantiles.count:,}" if told else "no answer to measure"


def _table(criteria: Sequence[Criterion]) -> Iterator[str]:
    yield f"  {'criterion':<24}{'actual':>14}{'target':>16}{'margin':>14}   outcome"
    for criterion in criteria:
        target = f"{criterion.operator} {_number(criterion.threshold, criterion.unit)}"
        yield (
            f"  {criterion.name:<24}{_number(criterion.actual, criterion.unit):>14}{target:>16}"
            f"{_number(criterion.margin, criterion.unit):>14}   {MARKS[criterion.outcome]}"
            f"{f'  {criterion.reason}' if criterion.reason else ''}"
        )


def _number(value: float | None, unit: str) -> str:
    if value is None:
        return "unknown"
    if unit == "ratio":
        return f"{100 * value:.3f} %"
    return f"{value:.1f} ms" if unit == "ms" else f"{value + 0:.0f}"


def _remarks(report: Report) -> Iterator[str]:
    figures = report.result.figures
    for doubt in report.verdict.doubts:
        yield f"  doubt: {doubt}"
    if figures.refusals:
        yield "  first attempts that were not accepted: " + ", ".join(
            f"{reason} ({count:,})" for reason, count in figures.refusals
        )
    for kind, findings in report.reconciliation.findings.items() if report.reconciliation else ():
        yield f"  {kind} ({len(findings):,}), for example {findings[0].subject}: {findings[0].witness}"


def _last_line(report: Report) -> str:
    return f"Gate {report.verdict.gate.upper()}: {report.verdict.outcome}"
