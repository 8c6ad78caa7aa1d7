"""A budget over a window of time, step by step: the last 28 days, or a calendar month of the ledger."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from typing import cast

from django.db.models import Q

from evidence.budget import arithmetic, readings
from evidence.budget.arithmetic import Counts
from evidence.budget.entries import MONTH, account_of
from evidence.budget.errors import WindowUnknown
from evidence.budget.readings import Asked
from evidence.budget.selectors import COUNTED
from evidence.budget.unknown import MINUTE, floor_hour, floor_minute
from evidence.models import BudgetEntry
from evidence.slo.objective import Slo

ROLLING = "rolling"
STEPS = (timedelta(hours=1), timedelta(hours=6), timedelta(days=1))
STEPS_AT_MOST = 31
Kind = BudgetEntry.Kind


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """`own` is what counts of it, `raw` what was measured."""

    begin: datetime
    end: datetime
    own: Counts
    raw: Counts

    @property
    def is_unknown(self) -> bool:
        """Nobody measured half of it or more: then nobody can say what it spent."""
        return 2 * self.own.unknown_seconds >= (self.end - self.begin).total_seconds()


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """It is in the step of its beginning."""

    at: datetime
    counts: Counts
    is_raw: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Spending:
    """`steps` follow one another from `window_from`, which is no earlier than the ledger, to `window_to`."""

    slo: Slo
    window_from: datetime
    window_to: datetime
    steps: Sequence[Step]

    @property
    def counts(self) -> Counts:
        return sum((step.own for step in self.steps), Counts())

    @property
    def raw(self) -> Counts:
        return sum((step.raw for step in self.steps), Counts())

    @property
    def actual_pct(self) -> Fraction | None:
        """Of what was valid, how much was good. None where nothing was valid."""
        counts = self.counts
        return Fraction(100 * counts.good, counts.valid) if counts.valid else None

    @property
    def remaining_pct(self) -> Fraction | None:
        return arithmetic.remaining_pct(self.counts, target=self.slo.target)

    @property
    def raw_remaining_pct(self) -> Fraction | None:
        return arithmetic.remaining_pct(self.raw, target=self.slo.target)

    def left_pct(self, *, raw: bool = False) -> Sequence[Fraction] | None:
        """After each step, of the whole window's budget as it is now. None where there is no budget yet."""
        total = arithmetic.budget_total(self.raw if raw else self.counts, target=self.slo.target)
        if not total:
            return None
        bad, left = 0, []
        for step in self.steps:
            bad += (step.raw if raw else step.own).bad
            left.append(100 * (1 - bad / total))
        return left


def bounds(window: str, *, days: int, now: datetime) -> tuple[datetime, datetime]:
    """When it begins and ends, the end not after `now`'s minute. Raises WindowUnknown."""
    until = floor_minute(now) + MINUTE
    if window == ROLLING:
        return floor_hour(now) - timedelta(days=days), until
    begin = _month(window)
    if begin > now:
        raise WindowUnknown(f"the month {window} has not begun yet")
    return begin, min((begin + timedelta(days=32)).replace(day=1), until)


def months(*, now: datetime) -> Sequence[str]:
    """Those with an account in the ledger, and the one that runs; the newest first."""
    accounts = BudgetEntry.objects.filter(account__startswith=MONTH, kind=Kind.OPEN)
    found = set(accounts.order_by().values_list("account", flat=True).distinct()) | {account_of(now)}
    return sorted((each.removeprefix(MONTH) for each in found), reverse=True)


def spending(slo: Slo, window: str, *, now: datetime) -> Spending:
    """What is in the ledger, and what was measured since its newest hour. Raises WindowUnknown, django.db.Error."""
    return spendings([slo], window, now=now)[0]


def spendings(slos: Sequence[Slo], window: str, *, now: datetime) -> Sequence[Spending]:
    """In their order, all by about as many queries as one. Raises WindowUnknown, django.db.Error."""
    ledgers = _ledgers(slos, window, now=now)
    asked = [
        Asked(each.slo, max(since, each.last), until)
        for each in ledgers
        for since, until in each.steps
        if until > each.last
    ]
    lives = list(zip(asked, readings.counts_of(asked, now=now), strict=True))
    return [
        each.spending([Part(at=range_.since, counts=live) for range_, live in lives if range_.slo is each.slo])
        for each in ledgers
    ]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Ledger:
    """What the ledger has of an objective in a window, whose beginning it tells; hours are in it up to `last`."""

    slo: Slo
    first: datetime
    last: datetime
    end: datetime
    parts: Sequence[Part]

    @property
    def steps(self) -> Sequence[tuple[datetime, datetime]]:
        return list(_edges(self.first, self.end))

    def spending(self, live: Sequence[Part]) -> Spending:
        steps = [_step(*each, [*self.parts, *live]) for each in self.steps]
        return Spending(slo=self.slo, window_from=self.first, window_to=self.end, steps=steps)


def _ledgers(slos: Sequence[Slo], window: str, *, now: datetime) -> Sequence[_Ledger]:
    windows = {slo.name: bounds(window, days=slo.window_days, now=now) for slo in slos}
    in_window = Q(pk__in=[])
    for name, (begin, end) in windows.items():
        in_window |= Q(slo=name, window_from__gte=begin, window_from__lt=end)
    entries = BudgetEntry.objects.filter(in_window, kind__in=COUNTED).order_by("window_from", "number")
    rows: dict[str, list[BudgetEntry]] = {name: [] for name in windows}
    for entry in entries.only("slo", "kind", "window_from", "window_to", "valid", "bad", "unknown_seconds"):
        rows[entry.slo].append(entry)
    burns = {name: [row for row in found if row.kind == Kind.BURN] for name, found in rows.items()}
    began = now if all(burns.values()) else readings.first_minute() or now
    ledgers = []
    for slo in slos:
        (begin, end), own = windows[slo.name], burns[slo.name]
        first = own[0].window_from if own else min(max(floor_hour(began), begin), end)
        last = max((row.window_to for row in own), default=first)
        parts = [_part(row, first=first) for row in rows[slo.name]]
        ledgers.append(_Ledger(slo=slo, first=first, last=last, end=end, parts=parts))
    return ledgers


def _part(row: BudgetEntry, *, first: datetime) -> Part:
    counts = Counts(valid=row.valid, bad=row.bad, unknown_seconds=row.unknown_seconds)
    return Part(at=max(row.window_from, first), counts=counts, is_raw=row.kind == Kind.BURN)


def account_counts(slo: str, account: str) -> tuple[Counts, Counts] | None:
    """A month as it was measured and as it counts, by its newest entry. None where the ledger has no such account."""
    newest = BudgetEntry.objects.filter(slo=slo, account=account).order_by("-number").first()
    if newest is None:
        return None
    return Counts(**cast("dict[str, int]", newest.raw)), Counts(**cast("dict[str, int]", newest.corrected))


def _month(text: str) -> datetime:
    try:
        return datetime.strptime(text, "%Y-%m").replace(tzinfo=UTC)
    except ValueError:
        raise WindowUnknown(f"{text[:20]!r} is no window: {ROLLING}, or a month such as 2027-01") from None


def _edges(first: datetime, end: datetime) -> Iterator[tuple[datetime, datetime]]:
    """Whole steps of the clock, the first and the last cut to the window."""
    length = next((each for each in STEPS if (end - first) / each <= STEPS_AT_MOST), STEPS[-1])
    at = _floor(first, length)
    while at < end:
        yield max(at, first), min(at + length, end)
        at += length


def _step(begin: datetime, end: datetime, parts: Sequence[Part]) -> Step:
    own = [part for part in parts if begin <= part.at < end]
    return Step(
        begin=begin,
        end=end,
        own=sum((part.counts for part in own), Counts()),
        raw=sum((part.counts for part in own if part.is_raw), Counts()),
    )


def _floor(moment: datetime, length: timedelta) -> datetime:
    midnight = moment.replace(hour=0, minute=0, second=0, microsecond=0)
    return midnight + (moment - midnight) // length * length
