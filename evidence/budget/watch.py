"""Burn rates looked at all the time: somebody is told while a budget is being spent too fast."""

from __future__ import annotations

from datetime import datetime

from evidence.alerts import close_alert, raise_alert
from evidence.budget.arithmetic import AlertRule, Firing
from evidence.budget.selectors import BudgetStanding, budget_standings
from evidence.models import Alert
from evidence.slo.shipped import objectives

KIND = "burn"


def watch_burn(*, now: datetime) -> int:
    """How many rules fire. An alert is closed once its rule is known not to fire. Raises django.db.Error."""
    return sum(_watch(standing) for standing in budget_standings(objectives().names, now=now))


def _watch(standing: BudgetStanding) -> int:
    for rule, firing in standing.firings.items():
        if firing is Firing.YES:
            _raise(standing, rule)
        elif firing is not Firing.UNKNOWN:
            close_alert(KIND, subject_of(standing, rule))
    return list(standing.firings.values()).count(Firing.YES)


def subject_of(standing: BudgetStanding, rule: AlertRule) -> str:
    return f"{standing.slo.name} {_words(rule)}"


def _raise(standing: BudgetStanding, rule: AlertRule) -> None:
    long, short = (standing.burn_rates[window] for window in (rule.long, rule.short))
    limit = float(rule.factor)
    raise_alert(
        KIND,
        subject_of(standing, rule),
        severity=Alert.Severity(rule.severity),
        summary=(
            f"{standing.slo.title}: the error budget burns {float(long or 0):.1f} times too fast over {_words(rule)}"
            f" (limit {limit:g})"
        ),
        facts={
            "slo": standing.slo.name,
            "window": _words(rule),
            "limit": f"{limit:g}",
            "burn_long": f"{float(long or 0):.3f}",
            "burn_short": f"{float(short or 0):.3f}",
        },
    )


def _words(rule: AlertRule) -> str:
    hours = int(rule.long.total_seconds() // 3600)
    return f"{hours} h" if hours < 24 else f"{hours // 24} d"
