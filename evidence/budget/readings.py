"""What the stored counters say of an objective in a range of time: [since, until), whole minutes.

Figures older than two days are rolled up by the hour: a range that begins within such an hour has all of it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db.models import Q, QuerySet, Sum
from django.db.models.functions import Coalesce

from evidence.budget.arithmetic import Counts
from evidence.budget.unknown import LOOK_AROUND, MINUTE, unknown_seconds
from evidence.slo.objective import Slo, Source
from ingestion.latency import HIGHEST_US, Stage, new_histogram
from ingestion.latency_store import merge_encoded
from ingestion.models import HOUR, AckOutcome, LatencyFlush
from ingestion.selectors import overlapping

LATE, GOOD, SLOW = "late", "good", "slow"
COMMITS_WITHIN = 2 * MINUTE


@dataclass(frozen=True, slots=True)
class Reading:
    """So many of one minute, provider and code. `late` answers are among the accepted ones: not valid once more."""

    minute: datetime
    provider: str
    code: str
    valid: int
    bad: int


def counts(slo: Slo, *, since: datetime, until: datetime, now: datetime) -> Counts:
    """Raises django.db.Error."""
    valid, bad = sums(slo, since=since, until=until)
    return Counts(valid=valid, bad=bad, unknown_seconds=unmeasured_seconds(slo, since=since, until=until, now=now))


def readings(slo: Slo, *, since: datetime, until: datetime) -> Iterator[Reading]:
    """By minute, provider and code, ascending. Raises django.db.Error."""
    if slo.source is not Source.ANSWERS:
        yield from _durations(slo, since=since, until=until)
        return
    rows = _answers(slo, since=since, until=until).values_list("minute", "provider", "code")
    for minute, provider, code, count in rows.annotate(n=Sum("count")).order_by("minute", "provider", "code"):
        yield Reading(minute, provider, code, count, count if code in slo.bad_codes else 0)
    for (minute, provider), count in sorted(_late(slo, since=since, until=until).items()):
        yield Reading(minute, provider, LATE, 0, count)


def unmeasured_seconds(slo: Slo, *, since: datetime, until: datetime, now: datetime) -> int:
    """Raises django.db.Error."""
    near = Q(minute__gte=since - LOOK_AROUND, minute__lt=until + LOOK_AROUND)
    measured = set(AckOutcome.objects.filter(near).exclude(process=HOUR).values_list("minute", flat=True).distinct())
    if slo.source is Source.END_TO_END:
        measured -= _uncommitted_minutes(since=since - LOOK_AROUND, until=until + LOOK_AROUND, now=now)
    return unknown_seconds(measured, since=since, until=until, now=now)


def first_minute() -> datetime | None:
    """Since when anything is measured at all."""
    return AckOutcome.objects.order_by("minute").values_list("minute", flat=True).first()


def is_measured_now(slo: Slo, *, now: datetime) -> bool:
    """Whether the last minutes are known."""
    since = now - timedelta(minutes=3)
    if not AckOutcome.objects.filter(minute__gt=since).exclude(process=HOUR).exists():
        return False
    until = now.replace(second=0, microsecond=0)
    return slo.source is not Source.END_TO_END or not unmeasured_seconds(
        slo, since=until - 5 * MINUTE, until=until, now=now
    )


def sums(slo: Slo, *, since: datetime, until: datetime) -> tuple[int, int]:
    """Valid and bad. Raises django.db.Error."""
    if slo.source is Source.ANSWERS:
        totals = _answers(slo, since=since, until=until).aggregate(
            valid=Coalesce(Sum("count"), 0), bad=Coalesce(Sum("count", filter=Q(code__in=slo.bad_codes)), 0)
        )
        return totals["valid"], totals["bad"] + sum(_late(slo, since=since, until=until).values())
    totals = _stage(slo.source.value, since=since, until=until).aggregate(
        valid=Coalesce(Sum("count"), 0),
        within=Coalesce(Sum("within_slo_count"), 0),
        beyond=Coalesce(Sum("clamped_count"), 0),
    )
    bad = totals["beyond"] if slo.within_us == HIGHEST_US else totals["valid"] - totals["within"]
    return totals["valid"], bad


def _durations(slo: Slo, *, since: datetime, until: datetime) -> Iterator[Reading]:
    rows = _stage(slo.source.value, since=since, until=until).values_list("minute", "provider")
    told = rows.annotate(n=Sum("count"), within=Sum("within_slo_count"), beyond=Sum("clamped_count"))
    for minute, provider, count, within, beyond in told.order_by("minute", "provider"):
        bad = beyond if slo.within_us == HIGHEST_US else count - within
        if count > bad:
            yield Reading(minute, provider, GOOD, count - bad, 0)
        if bad:
            yield Reading(minute, provider, SLOW, bad, bad)


def _late(slo: Slo, *, since: datetime, until: datetime) -> Counter[tuple[datetime, str]]:
    """Answers 2xx that came too late, by minute and provider; the limit's own bucket, 0.1% wide, is late too."""
    late: Counter[tuple[datetime, str]] = Counter()
    rows = _stage(Stage.ACK, since=since, until=until).filter(max_us__gt=slo.within_us)
    for minute, provider, blob in rows.values_list("minute", "provider", "histogram").iterator():
        histogram = new_histogram()
        merge_encoded(histogram, blob)
        for item in histogram.get_recorded_iterator():
            if item.value_iterated_to > slo.within_us:
                late[minute, provider] += item.count_added_in_this_iter_step
    return late


def _uncommitted_minutes(*, since: datetime, until: datetime, now: datetime) -> set[datetime]:
    """Minutes in which events were accepted, and neither then nor soon after was any commit measured."""
    near = Q(minute__gte=since, minute__lt=until + COMMITS_WITHIN)
    accepted = AckOutcome.objects.filter(near, code="accepted", count__gt=0).exclude(process=HOUR)
    committed = LatencyFlush.objects.filter(near, stage=Stage.END_TO_END).exclude(process=HOUR)
    at_commit = set(committed.values_list("minute", flat=True).distinct())
    asked = set(accepted.values_list("minute", flat=True).distinct())
    return {
        minute
        for minute in asked
        if minute + COMMITS_WITHIN < now
        and not any(minute + each * MINUTE in at_commit for each in range(COMMITS_WITHIN // MINUTE + 1))
    }


def _answers(slo: Slo, *, since: datetime, until: datetime) -> QuerySet[AckOutcome]:
    return AckOutcome.objects.filter(overlapping(since=since), minute__lt=until, code__in=slo.valid_codes)


def _stage(stage: str, *, since: datetime, until: datetime) -> QuerySet[LatencyFlush]:
    return LatencyFlush.objects.filter(overlapping(since=since), minute__lt=until, stage=stage)
