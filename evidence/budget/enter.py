"""Entering what is over: each whole hour of each objective once, and later what came to be known of it afterwards."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction
from django.db.models import Sum

from evidence.audit import Act, Actor
from evidence.budget.arithmetic import RULES, Counts, burn_rate, decimal
from evidence.budget.entries import NewEntry, account_of, enter, lock_ledger
from evidence.budget.policy import due_policy
from evidence.budget.readings import counts, first_minute, readings
from evidence.budget.selectors import projection
from evidence.budget.unknown import floor_hour
from evidence.models import AuditEntry, BudgetEntry
from evidence.slo.objective import Slo
from evidence.slo.shipped import objectives

HOUR = timedelta(hours=1)
GRACE = timedelta(minutes=10)  # a flush that failed is repeated; what comes later still gets an entry of its own
HOURS_AT_ONCE = 48
LOOK_BACK = timedelta(hours=36)  # hours are looked at again so long; then minutes are rolled up
MINUTES_NAMED_COUNT = 60
JOB = Actor.process("enter_budget")
Kind = BudgetEntry.Kind


def enter_budget(*, now: datetime) -> int:
    """How many entries came. Everything up to the last whole hour is entered, 48 hours at a time; again: nothing is.

    Raises django.db.Error, AuditLogBusy, SloInvalid.
    """
    count = 0
    for slo in objectives().slos.values():
        with transaction.atomic():
            lock_ledger()
            new = [*_late_parts(slo, now=now), *_hours(slo, now=now)]
            count += len(enter(new, actor=JOB, at=now))
            count += len(enter(list(due_policy(slo, now=now)), actor=JOB, at=now))
    return count


def _hours(slo: Slo, *, now: datetime) -> Iterator[NewEntry]:
    at = _entered_until(slo) or _begin(now)
    is_open = BudgetEntry.objects.filter(slo=slo.name, account=account_of(at), kind=Kind.OPEN).exists()
    until = min(floor_hour(now - GRACE), at + HOURS_AT_ONCE * HOUR)
    while at < until:
        if not is_open:
            yield _opened(slo, at)
            is_open = True
        yield _burn(slo, at, counts(slo, since=at, until=at + HOUR, now=now), now=now)
        at += HOUR
        if at == _month_after(at - HOUR):
            yield _closed(slo, at)
            is_open = False


def _entered_until(slo: Slo) -> datetime | None:
    burns = BudgetEntry.objects.filter(slo=slo.name, kind=Kind.BURN, part=0).order_by("-window_to")
    return burns.values_list("window_to", flat=True).first()


def _begin(now: datetime) -> datetime:
    """The ledger begins with what is measured, in this month at the earliest."""
    first = first_minute()
    month = floor_hour(now).replace(day=1, hour=0)
    return max(floor_hour(first), month) if first else floor_hour(now)


def _late_parts(slo: Slo, *, now: datetime) -> Iterator[NewEntry]:
    """Of hours that are entered, what was measured and only now stored. Counts only grow; less is never entered."""
    burns = BudgetEntry.objects.filter(slo=slo.name, kind=Kind.BURN, window_from__gte=now - LOOK_BACK)
    sums = burns.values("window_from").annotate(
        all_valid=Sum("valid"), all_bad=Sum("bad"), all_unknown=Sum("unknown_seconds")
    )
    for each in sums.order_by("window_from"):
        at = each["window_from"]
        entered = Counts(valid=each["all_valid"], bad=each["all_bad"], unknown_seconds=each["all_unknown"])
        more = counts(slo, since=at, until=at + HOUR, now=now) - entered
        if min(more.valid, more.bad, more.good) >= 0 and (more.valid or more.unknown_seconds):
            yield _burn(slo, at, more, now=now, part=burns.filter(window_from=at).count())


def _burn(slo: Slo, at: datetime, own: Counts, *, now: datetime, part: int = 0) -> NewEntry:
    until = at + HOUR
    windows = [rule.long for rule in RULES]
    read = [counts(slo, since=until - window, until=until, now=now) for window in windows]
    rates = [decimal(burn_rate(each, target=slo.target)) for each in read]
    return NewEntry(
        slo=slo,
        account=account_of(at),
        kind=Kind.BURN,
        window_from=at,
        window_to=until,
        counts=own,
        part=part,
        cause=cause_of(slo, since=at, until=until),
        rates=rates,
        projected_exhaustion=projection(slo, now=until),
    )


def cause_of(slo: Slo, *, since: datetime, until: datetime) -> dict[str, Any]:
    """Which minutes were bad, which codes of which providers, and the replays that ended within."""
    minutes: Counter[str] = Counter()
    codes: Counter[str] = Counter()
    providers: dict[str, Counter[str]] = {}
    for each in readings(slo, since=since, until=until):
        codes[each.code] += each.valid or each.bad
        if each.bad:
            minutes[each.minute.isoformat()] += each.bad
            providers.setdefault(each.provider, Counter())[each.code] += each.bad
    return {
        "minutes": dict(minutes.most_common(MINUTES_NAMED_COUNT)),
        "codes": dict(codes),
        "providers": {name: dict(bad) for name, bad in providers.items()},
        "runs": runs_within(since=since, until=until),
    }


def runs_within(*, since: datetime, until: datetime) -> Sequence[str]:
    """Replays whose entry in the audit log is of this time, or that can have begun in it."""
    entries = AuditEntry.objects.filter(act=Act.REPLAY_RUN.value, at__gte=since, at__lt=until).order_by("number")
    return [str(each) for each in entries.values_list("facts__run_id", flat=True)]


def _opened(slo: Slo, at: datetime) -> NewEntry:
    return NewEntry(slo=slo, account=account_of(at), kind=Kind.OPEN, window_from=at, window_to=_month_after(at))


def _closed(slo: Slo, at: datetime) -> NewEntry:
    month = (at - HOUR).replace(day=1, hour=0)
    return NewEntry(slo=slo, account=account_of(month), kind=Kind.CLOSE, window_from=month, window_to=at)


def _month_after(moment: datetime) -> datetime:
    return (moment.replace(day=1, hour=0, minute=0) + timedelta(days=32)).replace(day=1)
