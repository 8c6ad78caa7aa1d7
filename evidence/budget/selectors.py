"""How the budgets stand: entries of the ledger, and what was measured since the newest of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from fractions import Fraction

from django.db.models import Max, Min, Q, Sum
from django.db.models.functions import Coalesce

from autocom.kernel.clock import SYSTEM_CLOCK, datetime_of
from evidence.budget import arithmetic, readings
from evidence.budget.arithmetic import RULES, WINDOWS, AlertRule, Counts, Firing, State, fires
from evidence.budget.readings import Asked
from evidence.budget.unknown import MINUTE, floor_hour, floor_minute
from evidence.models import BudgetEntry, CorrectionProposal
from evidence.slo.objective import Slo, Source
from evidence.slo.shipped import objectives

HOUR = timedelta(hours=1)
LATELY = 5 * MINUTE
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
    return budget_standings([name], now=now)[0]


def budget_standings(names: Sequence[str], *, now: datetime | None = None) -> Sequence[BudgetStanding]:
    """In their order, all by about as many queries as one. Raises SloUnknown, django.db.Error."""
    slos = [objectives().slo(name) for name in names]
    now = now or datetime_of(us=SYSTEM_CLOCK.now_us())
    entered, frozen = _entered(slos, now=now), _frozen(slos)
    measured = _measured(slos, entered, now=now)
    return [
        _standing(slo, entered[slo.name], measured[slo.name], now=now, is_frozen=slo.name in frozen) for slo in slos
    ]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Entered:
    """Of the rolling window in the ledger: what counts, what of it was corrected, since when and until when."""

    counts: Counts
    corrected: Counts
    first: datetime
    last: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class _Measured:
    """Of each window, and since the newest entry; and whether the last minutes are known."""

    recent: Mapping[timedelta, Counts]
    live: Counts
    is_known_now: bool


def _standing(slo: Slo, entered: _Entered, measured: _Measured, *, now: datetime, is_frozen: bool) -> BudgetStanding:
    read = measured.recent
    firings = {rule: fires(rule, long=read[rule.long], short=read[rule.short], target=slo.target) for rule in RULES}
    total = entered.counts + measured.live
    raw = total - entered.corrected
    return BudgetStanding(
        slo=slo,
        window_from=entered.first,
        window_to=now,
        counts=total,
        raw=raw,
        budget_total=arithmetic.budget_total(total, target=slo.target),
        remaining_pct=arithmetic.remaining_pct(total, target=slo.target),
        raw_remaining_pct=arithmetic.remaining_pct(raw, target=slo.target),
        burn_rates={window: arithmetic.burn_rate(each, target=slo.target) for window, each in read.items()},
        firings=firings,
        projected_exhaustion=_projected(slo, total, entered.first, read[HOUR], now=now),
        is_frozen=is_frozen,
        state=arithmetic.state_of(
            total,
            target=slo.target,
            firings=tuple(firings.values()),
            measured_now=measured.is_known_now,
            window=timedelta(days=slo.window_days),
        ),
    )


def recent(name: str, window: timedelta, *, now: datetime) -> Counts:
    """Of the last `window`, with the minute that runs. Raises SloUnknown, django.db.Error."""
    return _recent_counts(objectives().slo(name), window, now=now)


def _recent_counts(slo: Slo, window: timedelta, *, now: datetime) -> Counts:
    """Unknown time only where nothing was valid."""
    each = _recent(slo, window, now=now)
    ((valid, bad),) = readings.sums_of([each])
    silent = [] if valid else [each]
    return Counts(valid=valid, bad=bad, unknown_seconds=sum(readings.unmeasured_of(silent, now=now)))


def rolling(slo: Slo, *, now: datetime) -> tuple[Counts, datetime]:
    """What counts in the rolling window, and when it began: no earlier than the ledger did."""
    entered = _entered([slo], now=now)[slo.name]
    (live,) = readings.counts_of([_live(slo, entered, now=now)], now=now)
    return entered.counts + live, entered.first


def projection(slo: Slo, *, now: datetime) -> datetime | None:
    """When the rolling budget is spent if the last hour goes on."""
    total, begin = rolling(slo, now=now)
    return _projected(slo, total, begin, _recent_counts(slo, HOUR, now=now), now=now)


def _projected(slo: Slo, total: Counts, begin: datetime, hour: Counts, *, now: datetime) -> datetime | None:
    return arithmetic.projected_exhaustion(total, target=slo.target, since=begin, now=now, bad=hour.bad, window=HOUR)


def _begin(slo: Slo, now: datetime) -> datetime:
    return floor_hour(now) - timedelta(days=slo.window_days)


def _entered(slos: Sequence[Slo], *, now: datetime) -> Mapping[str, _Entered]:
    """Where the ledger has nothing of an objective yet, the measurements tell since when there are any."""
    in_window = Q(pk__in=[])
    for slo in slos:
        in_window |= Q(slo=slo.name, window_from__gte=_begin(slo, now))
    kinds = BudgetEntry.objects.filter(in_window, kind__in=COUNTED, window_from__lt=now).order_by()
    rows = kinds.values_list("slo", "kind").annotate(
        all_valid=Coalesce(Sum("valid"), 0),
        all_bad=Coalesce(Sum("bad"), 0),
        all_unknown=Coalesce(Sum("unknown_seconds"), 0),
        first=Min("window_from"),
        last=Max("window_to"),
    )
    sums: dict[tuple[str, str], Counts] = {}
    burns: dict[str, tuple[datetime, datetime]] = {}
    for name, kind, valid, bad, unknown, first, last in rows:
        sums[name, kind] = Counts(valid=valid, bad=bad, unknown_seconds=unknown)
        if kind == Kind.BURN:
            burns[name] = first, last
    began = readings.first_minute() if any(slo.name not in burns for slo in slos) else None
    entered = {}
    for slo in slos:
        corrected = sums.get((slo.name, Kind.CORRECTION), Counts())
        first = max(floor_hour(began or now), _begin(slo, now))
        first, last = burns.get(slo.name, (first, first))
        counts = sums.get((slo.name, Kind.BURN), Counts()) + corrected
        entered[slo.name] = _Entered(counts=counts, corrected=corrected, first=first, last=last)
    return entered


def _live(slo: Slo, entered: _Entered, *, now: datetime) -> Asked:
    """What was measured since the newest entry, with the minute that runs."""
    return Asked(slo, entered.last, floor_minute(now) + MINUTE)


def is_frozen(slo: Slo) -> bool:
    """Whether the newest freeze of the objective is still on."""
    return slo.name in _frozen([slo])


def frozen_slos() -> list[str]:
    """Objectives whose budget is spent: nothing may be enabled meanwhile."""
    slos = list(objectives().slos.values())
    frozen = _frozen(slos)
    return [slo.name for slo in slos if slo.name in frozen]


def _frozen(slos: Sequence[Slo]) -> set[str]:
    freezes = BudgetEntry.objects.filter(slo__in=[slo.name for slo in slos], kind__in=[Kind.FREEZE_ON, Kind.FREEZE_OFF])
    newest = freezes.order_by("slo", "-number").distinct("slo").values_list("slo", "kind")
    return {name for name, kind in newest if kind == Kind.FREEZE_ON}


def _measured(slos: Sequence[Slo], entered: Mapping[str, _Entered], *, now: datetime) -> Mapping[str, _Measured]:
    """Of a lag the last minutes are known where what was accepted in them was committed too."""
    recents = {(slo.name, window): _recent(slo, window, now=now) for slo in slos for window in WINDOWS}
    lives = {slo.name: _live(slo, entered[slo.name], now=now) for slo in slos}
    until = floor_minute(now)
    lags = {slo.name: Asked(slo, until - LATELY, until) for slo in slos if slo.source is Source.END_TO_END}
    asked = [*recents.values(), *lives.values()]
    valid_bad = dict(zip(asked, readings.sums_of(asked), strict=True))
    silent = [each for each in recents.values() if not valid_bad[each][0]]
    unasked = [*silent, *lives.values(), *lags.values()]
    unknown = dict(zip(unasked, readings.unmeasured_of(unasked, now=now), strict=True))
    is_measured = readings.is_measured_lately(now=now)

    def counts(each: Asked, *, unknown_seconds: int) -> Counts:
        valid, bad = valid_bad[each]
        return Counts(valid=valid, bad=bad, unknown_seconds=unknown_seconds)

    found = {}
    for slo in slos:
        recent = {}
        for window in WINDOWS:
            each = recents[slo.name, window]
            recent[window] = counts(each, unknown_seconds=0 if valid_bad[each][0] else unknown[each])
        lag = lags.get(slo.name)
        found[slo.name] = _Measured(
            recent=recent,
            live=counts(lives[slo.name], unknown_seconds=unknown[lives[slo.name]]),
            is_known_now=is_measured and (lag is None or not unknown[lag]),
        )
    return found


def _recent(slo: Slo, window: timedelta, *, now: datetime) -> Asked:
    """With the minute that runs, so that what begins is seen at once."""
    until = floor_minute(now) + MINUTE
    return Asked(slo, until - window, until)


def open_proposals() -> list[CorrectionProposal]:
    """Corrections that wait for a second person, the oldest first."""
    return list(CorrectionProposal.objects.filter(decided_at=None).order_by("pk"))
