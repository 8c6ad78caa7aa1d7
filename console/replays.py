"""Runs as a person reads them: state in icon, word and colour, figures, and one sentence that says how it went."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.urls import reverse
from django.utils.safestring import SafeString

from console.charts.histogram import Histogram, histogram
from console.orders import (
    FigureShown,
    Progress,
    StateShown,
    count_shown,
    elapsed_of,
    shown_state,
    under_way,
)
from console.shown import UNKNOWN, age, milliseconds, moment
from evidence.models import ReplayOrder
from evidence.orders.life import is_dead
from evidence.runs.results import KnownRun, ack_buckets

OBJECTIVE_MS = 120.0
State = ReplayOrder.State
NO_FILES = "its files are not below EVIDENCE_ROOT"


VERDICTS: Mapping[str, StateShown] = {
    "PASS": StateShown("check_circle", "PASS", "good"),
    "FAIL": StateShown("cancel", "FAIL", "bad"),
    "INCONCLUSIVE": StateShown("help", "INCONCLUSIVE"),
}
NO_VERDICT = StateShown("help", UNKNOWN)
NOT_RUN = StateShown("error", "not run", "bad")
WITHOUT_VERDICT = (State.WAITING, State.RUNNING, State.DIED)


def verdict_shown(verdict: str) -> StateShown:
    return VERDICTS.get(verdict, NO_VERDICT)


@dataclass(frozen=True, slots=True)
class RunShown:
    """One line of the list."""

    run: KnownRun
    address: str
    state: StateShown
    began: SafeString | str
    told: Mapping[str, str]
    figures: Sequence[str]
    bundle_address: str


@dataclass(frozen=True, slots=True)
class Compared:
    title: str
    one: str
    other: str
    difference: str


@dataclass(frozen=True, slots=True)
class CriterionShown:
    name: str
    actual: str
    target: str
    state: StateShown
    reason: str


@dataclass(frozen=True, slots=True)
class Figure:
    """One of a summary. `higher` and `lower` are the words for a difference."""

    title: str
    read: Callable[[Mapping[str, Any]], float | None]
    unit: str = "count"
    higher: str = "more"
    lower: str = "fewer"


def _plain(name: str) -> Callable[[Mapping[str, Any]], float | None]:
    return lambda told: told.get(name)


def _ack(name: str) -> Callable[[Mapping[str, Any]], float | None]:
    return lambda told: (told.get("ack_ms") or {}).get(name)


FIGURES = (
    Figure("Planned", _plain("planned")),
    Figure("Sent", _plain("sent")),
    Figure("Accepted at once", _plain("accepted")),
    Figure("Accepted at once, of all", _plain("accepted_ratio"), "ratio", "higher", "lower"),
    Figure("Accepted after a retry", _plain("accepted_after_retry")),
    Figure("Not accepted at once", _plain("rejected")),
    Figure("Committed", _plain("stored")),
    Figure("Lost", _plain("lost")),
    Figure("Doubled or mistaken", _plain("idempotency_violations")),
    Figure("Reordered", _plain("order_violations")),
    Figure("Corrupted", _plain("corrupted")),
    Figure("Unexpected", _plain("unexpected")),
    Figure("Misplaced", _plain("misplaced")),
    Figure("2xx without receipt", _plain("without_receipt")),
    Figure("Ack P50", _ack("p50"), "ms", "longer", "shorter"),
    Figure("Ack P95", _ack("p95"), "ms", "longer", "shorter"),
    Figure("Ack P99", _ack("p99"), "ms", "longer", "shorter"),
    Figure("Ack max", _ack("max"), "ms", "longer", "shorter"),
    Figure("Rate reached", _plain("rate_achieved"), "rate", "higher", "lower"),
    Figure("Last ack to last commit", _plain("drained_after_seconds"), "seconds", "longer", "shorter"),
)
LISTED = ("accepted", "stored", "lost", "idempotency_violations", "order_violations")


def row_of(run: KnownRun) -> RunShown:
    counts: Mapping[str, Any] = run.told or (run.entry.facts["counts"] if run.entry else {})
    return RunShown(
        run=run,
        address=reverse("admin:replay", args=[run.run_id]),
        state=state_of(run),
        began=moment(run.began_at),
        told=_load(run),
        figures=[*(count_shown(counts.get(name)) for name in LISTED), milliseconds(_ack("p95")(run.told or {}))],
        bundle_address=reverse("admin:bundle", args=[run.bundle.artifact_id]) if run.bundle else "",
    )


def _load(run: KnownRun) -> dict[str, str]:
    """What was asked of the generator, by whoever knows it."""
    if run.order is not None:
        return {"count": f"{run.order.count:,}", "rate": f"{run.order.rate:,}/s", "input": f"seed {run.order.seed}"}
    header = run.header or {}
    counts = run.entry.facts["counts"] if run.entry else {}
    seed = header.get("seed", run.entry.facts["seed"] if run.entry else UNKNOWN)
    rate = header.get("rate")
    return {
        "count": count_shown(header.get("count", counts.get("planned"))),
        "rate": UNKNOWN if rate is None else (f"{rate:,.0f}/s" if rate else "as fast as possible"),
        "input": f"seed {seed}"
        if header.get("is_generated", True)
        else f"recording or layout of the provider, seed {seed}",
    }


def state_of(run: KnownRun) -> StateShown:
    """A process that is gone is never shown as running."""
    order = run.order
    if order is not None and (order.state in WITHOUT_VERDICT or is_dead(order)):
        return shown_state(order)
    if order is not None and order.state == State.FAILED:
        return NOT_RUN
    verdict = verdict_shown(run.verdict)
    if order is not None and order.state == State.CANCELLED:
        return StateShown(verdict.icon, f"cancelled, {verdict.word if run.verdict else 'nothing sent'}", verdict.tone)
    return verdict


def sentence_of(run: KnownRun) -> str:
    """How it went, or how it goes."""
    order = run.order
    if order is not None and is_dead(order):
        return _died(order)
    if order is not None and order.is_open:
        return under_way(order, cancelled="it sends nothing more and reconciles what was acknowledged")
    if order is not None and order.state == State.DIED:
        return _died(order)
    if order is not None and order.state == State.FAILED:
        return f"Not run: {order.why}."
    if order is not None and order.state == State.CANCELLED:
        return f"Stopped at {order.sent_count:,} of {order.count:,}: {order.why}. Nothing later was sent."
    if run.told is not None:
        return _told(run.told)
    if run.entry is not None:
        return f"As the audit log says; {NO_FILES}, so no more is known."
    return "No result yet: it is under way where it was started, or its process died there."


def _died(order: ReplayOrder) -> str:
    return (
        f"Stopped at about {order.sent_count:,} of {order.count:,}: its process died. Nothing later was sent. "
        "What was acknowledged is committed as ever, but nobody reconciled it: there is no verdict."
    )


def _told(told: Mapping[str, Any]) -> str:
    sent, planned = told.get("sent") or 0, told.get("planned") or 0
    parts = [f"{sent:,} of {planned:,} sent"]
    refusals = told.get("refusals") or {}
    if refusals:
        first, count = next(iter(refusals.items()))
        parts.append(f"the target answered {count:,} first attempts with {first}")
    wrong = [str(each["name"]) for each in told.get("criteria") or () if each["outcome"] == "FAIL"]
    if wrong:
        parts.append(f"not met: {', '.join(wrong)}")
    if told.get("kept_pace") is False:
        parts.append("the generator or its connections were behind schedule")
    return "; ".join(parts) + "."


def progress_of(order: ReplayOrder, *, now: datetime) -> Progress:
    """As its process told last. Nothing here is guessed but the time left."""
    figures = [
        FigureShown("Planned", f"{order.count:,}"),
        FigureShown("Sent", f"{order.sent_count:,}"),
        FigureShown("Acknowledged", f"{order.acked_count:,}"),
        FigureShown("Rejected", f"{order.rejected_count:,}"),
        FigureShown("Committed", count_shown(order.committed_count)),
        FigureShown("Ack P95 so far", milliseconds(None if order.p95_us is None else order.p95_us / 1_000)),
        elapsed_of(order, now=now),
        FigureShown("Sending left", _left(order)),
    ]
    return Progress(order.sent_count, order.count, "Sent of planned", figures)


def _left(order: ReplayOrder) -> str:
    if not order.is_open:
        return "none"
    if order.step != "sending":
        return UNKNOWN
    unsent = order.count - order.sent_count
    return f"about {age(timedelta(seconds=unsent / order.rate))}"


def result_of(run: KnownRun) -> list[FigureShown]:
    told = run.told or {}
    return [FigureShown(each.title, _shown(each.read(told), each.unit)) for each in FIGURES]


def compared(one: KnownRun, other: KnownRun) -> list[Compared]:
    """Figure by figure; the difference says how the other one stands to the first."""
    rows = []
    for figure in FIGURES:
        first, second = figure.read(one.told or {}), figure.read(other.told or {})
        words = _difference(first, second, figure)
        rows.append(Compared(figure.title, _shown(first, figure.unit), _shown(second, figure.unit), words))
    return rows


def _difference(first: float | None, second: float | None, figure: Figure) -> str:
    if first is None or second is None:
        return f"{UNKNOWN}: not measured in both"
    apart = second - first
    if _shown(first, figure.unit) == _shown(second, figure.unit):
        return "the same"
    word = figure.higher if apart > 0 else figure.lower
    if figure.unit == "ratio":
        return f"{abs(apart) * 100:.3f} points {word}"
    share = f" ({abs(apart) / first:.0%})" if first else ""
    return f"{_shown(abs(apart), figure.unit)} {word}{share}"


def criteria_of(run: KnownRun) -> list[CriterionShown]:
    """What is not met comes first, then what could not be decided."""
    told = (run.told or {}).get("criteria") or ()
    ranks = {"FAIL": 0, "INCONCLUSIVE": 1}
    ordered = sorted(told, key=lambda each: ranks.get(each["outcome"], 2))
    return [
        CriterionShown(
            name=str(each["name"]),
            actual=_shown(each["actual"], each["unit"]),
            target=f"{each['operator']} {_shown(each['threshold'], each['unit'])}",
            state=verdict_shown(each["outcome"]),
            reason=str(each.get("reason") or ""),
        )
        for each in ordered
    ]


def chart_of(run: KnownRun) -> Histogram | None:
    """Acks as the sender saw them, from the intended moment."""
    buckets = ack_buckets(run.run_id)
    count = sum(each for _, each in buckets)
    within = sum(each for edge_ms, each in buckets if edge_ms <= OBJECTIVE_MS)
    if not count:
        return None
    ack = _ack("p95")(run.told or {})
    share = within * 10_000 // count / 100
    return histogram(
        name="replay",
        title=f"Time to acknowledge: distribution of {count:,} acks",
        description=f"{share:.2f} % within 120 ms, P95 {milliseconds(ack)}, from the moment at which each was due.",
        buckets=buckets,
        objective_ms=OBJECTIVE_MS,
    )


def _shown(value: float | None, unit: str) -> str:
    if value is None:
        return UNKNOWN
    if unit == "ms":
        return milliseconds(value)
    if unit == "ratio":
        return f"{int(value * 100_000) / 1_000:.3f} %"
    if unit == "rate":
        return f"{value:,.1f}/s"
    return f"{value:,.2f} s" if unit == "seconds" else f"{value:,.0f}"


def others_of(run: KnownRun, verdicts: Mapping[str, str]) -> Sequence[str]:
    """What it can be compared with: runs that came to a verdict, the newest first."""
    return [run_id for run_id, verdict in verdicts.items() if verdict and run_id != run.run_id]
