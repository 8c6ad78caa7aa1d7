"""What follows from a spent budget: only repairs and security changes, until there is budget again."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from evidence.budget.arithmetic import ENOUGH_BAD_COUNT, remaining_pct
from evidence.budget.entries import NewEntry, account_of
from evidence.budget.selectors import is_frozen, rolling
from evidence.models import BudgetEntry
from evidence.slo.objective import Slo

SPENT = "the budget of 28 days is spent: only repairs of what is broken and security changes go out"
REFILLED = "there is budget again"


def due_policy(slo: Slo, *, now: datetime) -> Iterator[NewEntry]:
    """A freeze begins when the rolling budget is spent, and ends when that is certainly over."""
    counts, _ = rolling(slo, now=now)
    left = remaining_pct(counts, target=slo.target)
    if left is None:
        return
    if left < 0 and counts.bad >= ENOUGH_BAD_COUNT and not is_frozen(slo):
        yield _entry(slo, BudgetEntry.Kind.POLICY, now=now, reason=SPENT)
        yield _entry(slo, BudgetEntry.Kind.FREEZE_ON, now=now, reason=SPENT)
    elif left > 0 and is_frozen(slo):
        yield _entry(slo, BudgetEntry.Kind.FREEZE_OFF, now=now, reason=REFILLED)


def _entry(slo: Slo, kind: BudgetEntry.Kind, *, now: datetime, reason: str) -> NewEntry:
    return NewEntry(slo=slo, account=account_of(now), kind=kind, window_from=now, window_to=now, reason=reason)
