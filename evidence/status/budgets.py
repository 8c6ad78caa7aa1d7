"""The error budgets, as the ledger and what was measured since have them."""

from __future__ import annotations

from dataclasses import dataclass

from evidence.budget.selectors import BudgetStanding, budget_standings
from evidence.slo.shipped import objectives


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """`remaining_pct` None: nothing was measured, so nothing is known of it."""

    name: str
    valid: int
    bad: int
    remaining_pct: float | None
    unknown_seconds: int
    state: str
    is_frozen: bool


def budgets() -> list[Budget]:
    """Of every objective. Raises django.db.Error."""
    return [_budget(standing) for standing in budget_standings(objectives().names)]


def _budget(standing: BudgetStanding) -> Budget:
    remaining = standing.remaining_pct
    return Budget(
        name=standing.slo.name,
        valid=standing.valid,
        bad=standing.bad,
        remaining_pct=None if remaining is None else float(remaining),
        unknown_seconds=standing.unknown_seconds,
        state=standing.state.value,
        is_frozen=standing.is_frozen,
    )
