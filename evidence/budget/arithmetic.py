"""The arithmetic of error budgets, exact and pure. What cannot be known is None, never zero.

Figures of Google's SRE Workbook, chapter 5: an alert fires while the error ratio is above factor times (1 - target)
in a long window, so that it matters, and in a short one, so that it is still going on.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from fractions import Fraction
from typing import Self

ENOUGH_BAD_COUNT = 3  # at ten requests an hour a single failure is a burn of a hundred
PLACES = Decimal("0.000001")


class State(StrEnum):
    OK = "OK"
    WARNING = "WARNING"
    BREACHED = "BREACHED"
    INSUFFICIENT_DATA = "INSUFFICIENT_DATA"
    UNKNOWN = "UNKNOWN"


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """What is valid is good or bad. `unknown_seconds`: time of which nobody measured anything."""

    valid: int = 0
    bad: int = 0
    unknown_seconds: int = 0

    @property
    def good(self) -> int:
        return self.valid - self.bad

    def __add__(self, other: Counts) -> Self:
        return type(self)(
            valid=self.valid + other.valid,
            bad=self.bad + other.bad,
            unknown_seconds=self.unknown_seconds + other.unknown_seconds,
        )

    def __sub__(self, other: Counts) -> Self:
        return type(self)(
            valid=self.valid - other.valid,
            bad=self.bad - other.bad,
            unknown_seconds=self.unknown_seconds - other.unknown_seconds,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertRule:
    severity: str
    long: timedelta
    short: timedelta
    factor: Fraction


RULES = (
    AlertRule(severity="page", long=timedelta(hours=1), short=timedelta(minutes=5), factor=Fraction(72, 5)),
    AlertRule(severity="page", long=timedelta(hours=6), short=timedelta(minutes=30), factor=Fraction(6)),
    AlertRule(severity="ticket", long=timedelta(days=1), short=timedelta(hours=2), factor=Fraction(3)),
    AlertRule(severity="ticket", long=timedelta(days=3), short=timedelta(hours=6), factor=Fraction(1)),
)
WINDOWS = tuple(sorted({window for rule in RULES for window in (rule.long, rule.short)}))


class Firing(StrEnum):
    YES = "yes"
    NO = "no"
    INSUFFICIENT_DATA = "insufficient_data"
    UNKNOWN = "unknown"


def budget_total(counts: Counts, *, target: Decimal) -> Fraction:
    """How many of the valid may be bad."""
    return (1 - Fraction(target)) * counts.valid


def balance(counts: Counts, *, target: Decimal) -> Fraction:
    """What is left of that; below zero when more was spent."""
    return budget_total(counts, target=target) - counts.bad


def remaining_pct(counts: Counts, *, target: Decimal) -> Fraction | None:
    """Per cent of the budget. None where nothing was valid: then there is no budget to have any of."""
    total = budget_total(counts, target=target)
    return 100 * (1 - counts.bad / total) if total else None


def burn_rate(counts: Counts, *, target: Decimal) -> Fraction | None:
    """How many times faster than the budget lasts. None where nothing was valid."""
    if not counts.valid:
        return None
    return Fraction(counts.bad, counts.valid) / (1 - Fraction(target))


def fires(rule: AlertRule, *, long: Counts, short: Counts, target: Decimal) -> Firing:
    """Whether the rule says that somebody should know."""
    rates = burn_rate(long, target=target), burn_rate(short, target=target)
    if rates[0] is None:
        return Firing.UNKNOWN if long.unknown_seconds else Firing.NO
    if not rates[0] > rule.factor or rates[1] is None or not rates[1] > rule.factor:
        return Firing.NO
    return Firing.YES if long.bad >= ENOUGH_BAD_COUNT else Firing.INSUFFICIENT_DATA


def budget_spent(*, rate: Fraction, window: timedelta, period: timedelta) -> Fraction:
    """The share of a period's budget that a burn rate spends within the window, at an even load."""
    return rate * Fraction(window // timedelta(microseconds=1), period // timedelta(microseconds=1))


def seconds_until_firing(rule: AlertRule, *, error_ratio: Fraction, target: Decimal) -> Fraction | None:
    """How long an even error ratio has to last from a clean start. None: it never fires."""
    rate = error_ratio / (1 - Fraction(target))
    if rate <= rule.factor:
        return None
    return rule.factor / rate * Fraction(rule.long // timedelta(seconds=1))


def projected_exhaustion(
    counts: Counts, *, target: Decimal, since: datetime, now: datetime, bad: int, window: timedelta
) -> datetime | None:
    """When the balance is zero if load and errors go on as in the window (`bad` of it) at the load since `since`.

    `now` where it is spent already. None: it grows faster than it is spent, or nothing was measured.
    """
    left = balance(counts, target=target)
    if counts.valid and left <= 0:
        return now
    lived_us, window_us = ((length // timedelta(microseconds=1)) for length in (now - since, window))
    if lived_us <= 0 or not counts.valid:
        return None
    grown = budget_total(counts, target=target) / lived_us
    spent = Fraction(bad, window_us)
    if spent <= grown:
        return None
    after_us = int(left / (spent - grown))
    return now + timedelta(microseconds=after_us) if after_us < 10**15 else None


def state_of(
    counts: Counts, *, target: Decimal, firings: tuple[Firing, ...], measured_now: bool, window: timedelta
) -> State:
    """What is certain comes first; what is not measured is never OK.

    Time of which nothing is known may have been bad: where it is more than the budget's share of the window, nobody
    can say that the promise was kept.
    """
    left = remaining_pct(counts, target=target)
    if left is not None and left < 0:
        return State.BREACHED if counts.bad >= ENOUGH_BAD_COUNT else State.INSUFFICIENT_DATA
    if Firing.YES in firings:
        return State.WARNING
    if left is None or not measured_now or _too_much_unknown(counts, target=target, window=window):
        return State.UNKNOWN
    return State.INSUFFICIENT_DATA if Firing.INSUFFICIENT_DATA in firings else State.OK


def _too_much_unknown(counts: Counts, *, target: Decimal, window: timedelta) -> bool:
    seconds = Fraction(window // timedelta(microseconds=1), 1_000_000)
    return counts.unknown_seconds > (1 - Fraction(target)) * seconds


def decimal(value: Fraction | None) -> Decimal | None:
    """To six places, as a column of the ledger keeps it."""
    if value is None:
        return None
    return (Decimal(value.numerator) / Decimal(value.denominator)).quantize(PLACES)
