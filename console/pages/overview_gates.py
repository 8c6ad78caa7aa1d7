"""The slow part of the overview: gates, error budgets, open alerts. Read every half minute, and told with its time."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from django.urls import reverse

from autocom.kernel.clock import SYSTEM_CLOCK, datetime_of
from console.access import Permission
from console.shown import UNKNOWN
from evidence.models import Alert
from evidence.status.budgets import Budget, budgets
from evidence.status.gate_status import GateStatus, gate_statuses
from evidence.status.sections import criterion_row, verdict_of

PASS = "PASS"  # noqa: S105 - a verdict
NO_BUNDLE = "no run was judged yet"


@dataclass(frozen=True, slots=True, kw_only=True)
class GateFigures:
    """Of a gate whose GO enables something."""

    status: GateStatus
    verdict: str
    address: str

    @property
    def is_passed(self) -> bool:
        return self.verdict == PASS

    @property
    def detail(self) -> str:
        if self.status.bundle is None:
            return NO_BUNDLE
        if self.status.verdict.value is None:
            return self.status.verdict.why
        met = sum(each["outcome"] == PASS for each in self.status.criteria)
        return f"{met} of {len(self.status.criteria)} criteria met; DRI {self.status.dri or 'nobody'}"

    @property
    def criteria(self) -> Sequence[CriterionRow]:
        """Not met and unknown ones first."""
        told = sorted(self.status.criteria, key=lambda each: each["outcome"] == PASS)
        rows = [criterion_row(self.status, each) for each in told]
        return [
            CriterionRow(row[1], row[3], row[4], row[2], str(each["outcome"]))
            for row, each in zip(rows, told, strict=True)
        ]


@dataclass(frozen=True, slots=True)
class CriterionRow:
    name: str
    actual: str
    target: str
    told: str
    outcome: str

    @property
    def icon(self) -> str:
        return {"PASS": "check_circle", "FAIL": "cancel"}.get(self.outcome, "help")


@dataclass(frozen=True, slots=True, kw_only=True)
class GatesRead:
    """What does not change by the second. Raising is the source's business; see `gates_read`."""

    at: datetime
    gates: Sequence[GateStatus]
    budgets: Sequence[Budget]
    alert_count: int


def gates_read() -> GatesRead:
    """Raises django.db.Error."""
    now = datetime_of(us=SYSTEM_CLOCK.now_us())
    return GatesRead(
        at=now,
        gates=gate_statuses(now=now),
        budgets=budgets(),
        alert_count=Alert.objects.filter(closed_at=None).count(),
    )


def gate_figures(read: GatesRead, *, may_see: Callable[[str], bool]) -> list[GateFigures]:
    return [
        GateFigures(
            status=each,
            verdict=verdict_of(each),
            address=reverse("admin:gate", args=[each.spec.name]) if may_see(Permission.GATE_READ) else "",
        )
        for each in read.gates
        if each.spec.grants
    ]


def tightest(read: GatesRead) -> Budget | None:
    """The objective with the least budget left; None where nothing was measured."""
    measured = [each for each in read.budgets if each.remaining_pct is not None]
    return min(measured, key=lambda each: each.remaining_pct or 0.0, default=None)


def left(budget: Budget | None) -> str:
    if budget is None or budget.remaining_pct is None:
        return UNKNOWN
    return f"{budget.remaining_pct:.1f} %"


def complaints(read: GatesRead) -> Iterator[str]:
    """What a person should look at now."""
    if read.alert_count:
        yield f"{read.alert_count:,} open alert{'s' if read.alert_count > 1 else ''}"
    for budget in read.budgets:
        if budget.is_frozen:
            yield f"the error budget of {budget.name} is spent"
    for gate in read.gates:
        waits = gate.is_go and gate.is_decided and not gate.approver
        if waits and gate.decision and gate.decision.expires_at and read.at < gate.decision.expires_at:
            yield f"the GO of gate {gate.spec.name} waits for a second person"
