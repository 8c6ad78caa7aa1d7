"""What the stored counters say of an objective in a range of time: [since, until), whole minutes.

Figures older than two days are rolled up by the hour: a range that begins within such an hour has all of it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.contrib.postgres.fields import ArrayField
from django.db.models import BooleanField, DateTimeField, ExpressionWrapper, Func, IntegerField, Q, QuerySet, Sum, Value
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
TICK = timedelta(microseconds=1)  # the database's own: after a moment is from this much later on


@dataclass(frozen=True, slots=True)
class Reading:
    """So many of one minute, provider and code. `late` answers are among the accepted ones: not valid once more."""

    minute: datetime
    provider: str
    code: str
    valid: int
    bad: int


@dataclass(frozen=True, slots=True)
class Asked:
    """A range of time of an objective: [since, until), whole minutes."""

    slo: Slo
    since: datetime
    until: datetime


def counts_of(asked: Sequence[Asked], *, now: datetime) -> Sequence[Counts]:
    """Each as by itself, all by as many queries as there are sources. Raises django.db.Error."""
    found = zip(sums_of(asked), unmeasured_of(asked, now=now), strict=True)
    return [Counts(valid=valid, bad=bad, unknown_seconds=unknown) for (valid, bad), unknown in found]


def counts(slo: Slo, *, since: datetime, until: datetime, now: datetime) -> Counts:
    """Raises django.db.Error."""
    return counts_of([Asked(slo, since, until)], now=now)[0]


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


def unmeasured_of(asked: Sequence[Asked], *, now: datetime) -> Sequence[int]:
    """Seconds of each that nobody measured. Raises django.db.Error."""
    if not asked:
        return []
    since, until = _around(asked)
    near = Q(minute__gte=since, minute__lt=until)
    measured = set(AckOutcome.objects.filter(near).exclude(process=HOUR).values_list("minute", flat=True).distinct())
    lags = [each for each in asked if each.slo.source is Source.END_TO_END]
    uncommitted = _uncommitted_minutes(*_around(lags), now=now) if lags else set()
    committed = measured - uncommitted
    return [
        unknown_seconds(
            committed if each.slo.source is Source.END_TO_END else measured, since=each.since, until=each.until, now=now
        )
        for each in asked
    ]


def first_minute() -> datetime | None:
    """Since when anything is measured at all."""
    return AckOutcome.objects.order_by("minute").values_list("minute", flat=True).first()


def is_measured_lately(*, now: datetime) -> bool:
    """Whether anything was noted in the last minutes."""
    return AckOutcome.objects.filter(minute__gt=now - 3 * MINUTE).exclude(process=HOUR).exists()


def sums(slo: Slo, *, since: datetime, until: datetime) -> tuple[int, int]:
    """Valid and bad. Raises django.db.Error."""
    return sums_of([Asked(slo, since, until)])[0]


def sums_of(asked: Sequence[Asked]) -> Sequence[tuple[int, int]]:
    """Valid and bad of each. Raises django.db.Error."""
    found: dict[int, tuple[int, int]] = {}
    slos = {each.slo.name: each.slo for each in asked}
    for name, slo in slos.items():
        own = {place: each for place, each in enumerate(asked) if each.slo.name == name}
        found |= zip(own, _sums(slo, list(own.values())), strict=True)
    return [found[place] for place in range(len(asked))]


def _sums(slo: Slo, ranges: Sequence[Asked]) -> Sequence[tuple[int, int]]:
    """Summed up by the database between all the moments where a range begins or ends, and added here."""
    spans = [_Span((each.since - MINUTE + TICK, each.since - timedelta(hours=1) + TICK), each.until) for each in ranges]
    edges = sorted({moment for span in spans for moment in (*span.begins, span.until)})
    since, until = min(each.since for each in ranges), max(each.until for each in ranges)
    parts = [
        (edges[part - 1], is_hour, valid, bad)
        for is_hour, part, valid, bad in _parts(slo, edges, since=since, until=until)
    ]
    if slo.source is Source.ANSWERS:
        parts += [(row.minute, row.is_hour, 0, row.count) for row in _late_rows(slo, since=since, until=until)]
    return [
        (
            sum(valid for at, is_hour, valid, _ in parts if span.has(at, is_hour=is_hour)),
            sum(bad for at, is_hour, _, bad in parts if span.has(at, is_hour=is_hour)),
        )
        for span in spans
    ]


def _parts(
    slo: Slo, edges: Sequence[datetime], *, since: datetime, until: datetime
) -> Iterator[tuple[bool, int, int, int]]:
    """Whether of hours, after which of the edges (the first is 1), valid and bad."""
    part = Func(
        "minute", Value(edges, ArrayField(DateTimeField())), function="width_bucket", output_field=IntegerField()
    )
    is_hour = ExpressionWrapper(Q(process=HOUR), output_field=BooleanField())
    if slo.source is Source.ANSWERS:
        answers = _answers(slo, since=since, until=until).order_by().values_list(is_hour, part)
        bad = Coalesce(Sum("count", filter=Q(code__in=slo.bad_codes)), 0)
        yield from answers.annotate(valid=Sum("count"), bad=bad)
        return
    stage = _stage(slo.source.value, since=since, until=until).order_by().values_list(is_hour, part)
    told = stage.annotate(valid=Sum("count"), within=Sum("within_slo_count"), beyond=Sum("clamped_count"))
    for of_hours, number, valid, within, beyond in told:
        yield of_hours, number, valid, beyond if slo.within_us == HIGHEST_US else valid - within


def _durations(slo: Slo, *, since: datetime, until: datetime) -> Iterator[Reading]:
    rows = _stage(slo.source.value, since=since, until=until).values_list("minute", "provider")
    told = rows.annotate(n=Sum("count"), within=Sum("within_slo_count"), beyond=Sum("clamped_count"))
    for minute, provider, count, within, beyond in told.order_by("minute", "provider"):
        bad = beyond if slo.within_us == HIGHEST_US else count - within
        if count > bad:
            yield Reading(minute, provider, GOOD, count - bad, 0)
        if bad:
            yield Reading(minute, provider, SLOW, bad, bad)


@dataclass(frozen=True, slots=True)
class _Span:
    """What figures are of a range: those of a minute from `begins[0]` on, those of an hour from `begins[1]` on."""

    begins: tuple[datetime, datetime]
    until: datetime

    def has(self, at: datetime, *, is_hour: bool) -> bool:
        return self.begins[is_hour] <= at < self.until


@dataclass(frozen=True, slots=True)
class _Late:
    minute: datetime
    provider: str
    is_hour: bool
    count: int


def _late(slo: Slo, *, since: datetime, until: datetime) -> Counter[tuple[datetime, str]]:
    """By minute and provider."""
    late: Counter[tuple[datetime, str]] = Counter()
    for row in _late_rows(slo, since=since, until=until):
        late[row.minute, row.provider] += row.count
    return late


def _late_rows(slo: Slo, *, since: datetime, until: datetime) -> Iterator[_Late]:
    """Answers 2xx that came too late; the limit's own bucket, 0.1% wide, is late too."""
    rows = _stage(Stage.ACK, since=since, until=until).filter(max_us__gt=slo.within_us)
    for minute, provider, process, blob in rows.values_list("minute", "provider", "process", "histogram").iterator():
        histogram = new_histogram()
        merge_encoded(histogram, blob)
        steps = histogram.get_recorded_iterator()
        count = sum(step.count_added_in_this_iter_step for step in steps if step.value_iterated_to > slo.within_us)
        if count:
            yield _Late(minute, provider, process == HOUR, count)


def _around(asked: Sequence[Asked]) -> tuple[datetime, datetime]:
    """All of them, and as far beside them as a row of minutes has to be looked for."""
    return min(each.since for each in asked) - LOOK_AROUND, max(each.until for each in asked) + LOOK_AROUND


def _uncommitted_minutes(since: datetime, until: datetime, *, now: datetime) -> set[datetime]:
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
