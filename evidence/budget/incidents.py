"""An incident beside the figures: when, what happened, and how much of the budget it took."""

from __future__ import annotations

from datetime import datetime
from fractions import Fraction

from django.db import transaction

from evidence.audit import Actor
from evidence.budget import readings
from evidence.budget.arithmetic import Counts, budget_total
from evidence.budget.entries import NewEntry, account_of, enter, lock_ledger
from evidence.budget.errors import CorrectionRefused
from evidence.budget.selectors import rolling
from evidence.models import BudgetEntry
from evidence.slo.objective import Slo
from evidence.slo.shipped import objectives

POSTMORTEM_PERCENT = 20  # of the rolling budget, by one incident: SRE Workbook, example error budget policy


def annotate(
    name: str, *, window_from: datetime, window_to: datetime, reason: str, actor: Actor, now: datetime
) -> BudgetEntry:
    """An INCIDENT that changes no figure. Raises SloUnknown, CorrectionRefused, AuditLogBusy."""
    slo = objectives().slo(name)
    if not window_from < window_to <= now:
        raise CorrectionRefused("the window has to begin before it ends, and to have ended")
    if not reason.strip():
        raise CorrectionRefused("say what happened: it stays in the ledger")
    with transaction.atomic():
        lock_ledger()
        new = NewEntry(
            slo=slo,
            account=account_of(window_from),
            kind=BudgetEntry.Kind.INCIDENT,
            window_from=window_from,
            window_to=window_to,
            cause=_cause(slo, window_from, window_to, now=now),
            reason=reason,
        )
        (entry,) = enter([new], actor=actor, at=now, reason=reason)
    return entry


def _cause(slo: Slo, since: datetime, until: datetime, *, now: datetime) -> dict[str, object]:
    own = readings.counts(slo, since=since, until=until, now=now)
    share = share_percent(own, slo, now=now)
    return {
        "valid": own.valid,
        "bad": own.bad,
        "unknown_seconds": own.unknown_seconds,
        "share_of_budget_percent": None if share is None else f"{float(share):.3f}",
        "needs_postmortem": None if share is None else share > POSTMORTEM_PERCENT,
    }


def share_percent(own: Counts, slo: Slo, *, now: datetime) -> Fraction | None:
    """Of the rolling window's whole budget. None where there is none yet."""
    total = budget_total(rolling(slo, now=now)[0], target=slo.target)
    return 100 * own.bad / total if total else None
