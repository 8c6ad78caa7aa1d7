"""Entries of the ledger for a reader: of an objective, a kind and a window; the newest or the worst first."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from django.db.models import QuerySet

from evidence.budget.errors import LedgerFilterInvalid
from evidence.budget.windows import ROLLING, bounds
from evidence.models import BudgetEntry
from evidence.slo.shipped import objectives


class Sort(StrEnum):
    NEWEST = "newest"
    WORST = "worst"


ORDER = {Sort.NEWEST: ("-number",), Sort.WORST: ("-bad", "-unknown_seconds", "-number")}


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerFilter:
    """Empty: every objective, every kind."""

    slo: str = ""
    kind: str = ""
    window: str = ROLLING
    sort: Sort = Sort.NEWEST

    def __str__(self) -> str:
        return f"objective {self.slo or 'all'}, kind {self.kind or 'all'}, window {self.window}, {self.sort} first"


def ledger_filter(*, slo: str, kind: str, window: str, sort: str, now: datetime) -> LedgerFilter:
    """Raises SloUnknown, WindowUnknown, LedgerFilterInvalid."""
    if slo:
        objectives().slo(slo)
    if kind and kind not in BudgetEntry.Kind.values:
        raise LedgerFilterInvalid(f"{kind[:20]!r} is no kind of entry: {', '.join(BudgetEntry.Kind.values)}")
    if sort and sort not in set(Sort):
        raise LedgerFilterInvalid(f"{sort[:20]!r} is no order: {', '.join(Sort)}")
    bounds(window or ROLLING, days=_days(), now=now)
    return LedgerFilter(slo=slo, kind=kind, window=window or ROLLING, sort=Sort(sort or Sort.NEWEST))


def entries(wanted: LedgerFilter, *, now: datetime) -> QuerySet[BudgetEntry]:
    begin, end = bounds(wanted.window, days=_days(), now=now)
    found = BudgetEntry.objects.filter(window_from__gte=begin, window_from__lt=end)
    if wanted.slo:
        found = found.filter(slo=wanted.slo)
    if wanted.kind:
        found = found.filter(kind=wanted.kind)
    return found.order_by(*ORDER[wanted.sort])


def _days() -> int:
    """The longest rolling window of any objective."""
    return max(slo.window_days for slo in objectives().slos.values())
