"""How the budgets stand: entries of the ledger, and what was measured since the newest of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from fractions import Fraction

from django.db.models import Max, Min, Sum
from django.db.models.functions import Coalesce

from autocom.kernel.clock import SYSTEM_CLOCK, datetime_of
from evidence.budget import arithmetic, readings
from evidence.budget.arithmetic import RULES, WINDOWS, AlertRule, Counts, Firing, State, fires
from evidence.budget.unknown import MINUTE, floor_hour, floor_minute
from evidence.models import BudgetEntry, CorrectionProposal
from evidence.slo.objective import Slo
from evidence.slo.shipped import objectives

HOUR = timedelta(hours=1)
Kind = BudgetEntry.Kind
COUNTED = (Kind.BURN, Kind.CORRECTION)


@dataclass(frozen=True, slots=True, kw_only=True)
class BudgetStanding:
    """Of the rolling window up to now. `raw` is as it was measured, `counts` with what was corrected."""

    slo: Slo
    window_from: datetime
    window_to: datetime
    counts: Counts
    raw: Counts
    budget_total: Fraction
    remaining_pct: Fraction | None
    raw_remaining_pct: Fraction | None
    burn_rates: Mapping[timedelta, Fraction | None]
    firings: Mapping[AlertRule, Firing]
    projected_exhaustion: datetime | None
    is_frozen: bool
    state: State

    @property
    def valid(self) -> int:
        return self.counts.valid

    @property
    def good(self) -> int:
        return self.counts.good

    @property
    def bad(self) -> int:
        return self.counts.bad

    @property
    def unknown_seconds(self) -> int:
        return self.counts.unknown_seconds


def budget_standing(name: str, *, now: datetime | None = None) -> BudgetStanding:
    """Raises SloUnknown, django.db.Error."""
    slo = objectives().slo(name)
    now = now or datetime_of(us=SYSTEM_CLOCK.now_us())
    read = {window: _recent(slo, window, now=now) for window in WINDOWS}
    firings = {rule: fires(rule, long=read[rule.long], short=read[rule.short], target=slo.target) for rule in RULES}
    total, begin = rolling(slo, now=now)
    raw = total - _entered(slo, (Kind.CORRECTION,), since=_begin(slo, now), until=now)
    return BudgetStanding(
        slo=slo,
        window_from=begin,
        window_to=now,
        counts=total,
        raw=raw,
        budget_total=arithmetic.budget_total(total, target=slo.target),
        remaining_pct=arithmetic.remaining_pct(total, target=slo.target),
        raw_remaining_pct=arithmetic.remaining_pct(raw, target=slo.target),
        burn_rates={window: arithmetic.burn_rate(each, target=slo.target) for window, each in read.items()},
        firings=firings,
        projected_exhaustion=_projected(slo, total, begin, read[HOUR], now=now),
        is_frozen=is_frozen(slo),
        state=arithmetic.state_of(
            total,
            target=slo.target,
            firings=tuple(firings.values()),
            measured_now=readings.is_measured_now(slo, now=now),
            window=timedelta(days=slo.window_days),
        ),
    )


def recent(name: str, window: timedelta, *, now: datetime) -> Counts:
    """Of the last `window`, with the minute that runs. Raises SloUnknown, django.db.Error."""
    return _recent(objectives().slo(name), window, now=now)


def rolling(slo: Slo, *, now: datetime) -> tuple[Counts, datetime]:
    """What counts in the rolling window, and when it began: no earlier than the ledger did."""
    begin = _begin(slo, now)
    entered = _entered(slo, COUNTED, since=begin, until=now)
    burns = BudgetEntry.objects.filter(slo=slo.name, kind=Kind.BURN, window_from__gte=begin, window_from__lt=now)
    told = burns.aggregate(first=Min("window_from"), last=Max("window_to"))
    first = told["first"] or max(floor_hour(readings.first_minute() or now), begin)
    live = readings.counts(slo, since=told["last"] or first, until=floor_minute(now) + MINUTE, now=now)
    return entered + live, first


def projection(slo: Slo, *, now: datetime) -> datetime | None:
    """When the rolling budget is spent if the last hour goes on."""
    total, begin = rolling(slo, now=now)
    return _projected(slo, total, begin, _recent(slo, HOUR, now=now), now=now)


def _projected(slo: Slo, total: Counts, begin: datetime, hour: Counts, *, now: datetime) -> datetime | None:
    return arithmetic.projected_exhaustion(total, target=slo.target, since=begin, now=now, bad=hour.bad, window=HOUR)


def _begin(slo: Slo, now: datetime) -> datetime:
    return floor_hour(now) - timedelta(days=slo.window_days)


def _entered(slo: Slo, kinds: tuple[str, ...], *, since: datetime, until: datetime) -> Counts:
    entries = BudgetEntry.objects.filter(slo=slo.name, kind__in=kinds, window_from__gte=since, window_from__lt=until)
    sums = entries.aggregate(
        all_valid=Coalesce(Sum("valid"), 0),
        all_bad=Coalesce(Sum("bad"), 0),
        all_unknown=Coalesce(Sum("unknown_seconds"), 0),
    )
    return Counts(valid=sums["all_valid"], bad=sums["all_bad"], unknown_seconds=sums["all_unknown"])


def is_frozen(slo: Slo) -> bool:
    """Whether the newest freeze of the objective is still on."""
    freezes = BudgetEntry.objects.filter(slo=slo.name, kind__in=[Kind.FREEZE_ON, Kind.FREEZE_OFF])
    return freezes.order_by("-number").values_list("kind", flat=True).first() == Kind.FREEZE_ON


def frozen_slos() -> list[str]:
    """Objectives whose budget is spent: nothing may be enabled meanwhile."""
    return [slo.name for slo in objectives().slos.values() if is_frozen(slo)]


def _recent(slo: Slo, window: timedelta, *, now: datetime) -> Counts:
    """With the minute that runs, so that what begins is seen at once. Unknown time only where nothing was valid."""
    until = floor_minute(now) + MINUTE
    valid, bad = readings.sums(slo, since=until - window, until=until)
    if valid:
        return Counts(valid=valid, bad=bad)
    return readings.counts(slo, since=until - window, until=until, now=now)


def open_proposals() -> list[CorrectionProposal]:
    """Corrections that wait for a second person, the oldest first."""
    return list(CorrectionProposal.objects.filter(decided_at=None).order_by("pk"))
