"""Many ranges of time read at once: each has what it has by itself."""

from datetime import datetime

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from evidence.budget.readings import Asked, counts, counts_of, sums_of
from evidence.slo.objective import Slo
from evidence.slo.shipped import objectives
from ingestion.models import HOUR as ROLLED_UP
from ingestion.models import AckOutcome, LatencyFlush
from tests.evidence.budget.kit import HOUR, MINUTE, NOON, measured

pytestmark = pytest.mark.django_db
NOW = NOON + 3 * HOUR
SPANS = tuple(
    (NOON + begin * MINUTE, NOON + end * MINUTE)
    for begin, end in ((-70, -50), (-61, 0), (-60, 1), (-59, 180), (0, 7), (7, 8), (8, 60), (0, 180), (90, 90))
)


def lived() -> None:
    """An hour that is rolled up, and minutes after it; two in a row were never measured."""
    for n in range(-120, 180):
        if n not in range(100, 105):
            measured(NOON + n * MINUTE)
    measured(NOON - HOUR, answers={"accepted": 50, "lane_full": 3}, acks_us={4_000: 40, 6_000_000: 2})
    for rows in (AckOutcome.objects, LatencyFlush.objects):
        rows.filter(minute=NOON - HOUR, count__gt=0).update(process=ROLLED_UP)
    for n, late_count in ((0, 1), (7, 2), (59, 4), (179, 8)):
        answers = {"accepted": 10 + n, "lane_full": n, "unauthorized": 5}
        acks_us = {4_000: 7, 130_000: 1 + n, 6_000_000: late_count}
        measured(NOON + n * MINUTE, answers=answers, acks_us=acks_us, lags_us={3_000: 5, 70_000_000: 1 + n})


def counted_by_hand(slo: Slo, since: datetime, until: datetime) -> tuple[int, int]:
    def is_in(minute: datetime, process: str) -> bool:
        return minute < until and minute + (HOUR if process == ROLLED_UP else MINUTE) > since

    answers = [
        (code, count)
        for minute, process, code, count in AckOutcome.objects.values_list("minute", "process", "code", "count")
        if is_in(minute, process) and code in slo.valid_codes
    ]
    late = {NOON - HOUR: 2, NOON: 1, NOON + 7 * MINUTE: 2, NOON + 59 * MINUTE: 4, NOON + 179 * MINUTE: 8}
    late_count = sum(n for at, n in late.items() if is_in(at, ROLLED_UP if at < NOON else ""))
    return sum(n for _, n in answers), sum(n for code, n in answers if code in slo.bad_codes) + late_count


def test_ranges_that_are_read_at_once_have_what_each_has_by_itself() -> None:
    lived()
    asked = [Asked(slo, *span) for span in SPANS for slo in objectives().slos.values()]
    alone = [counts(each.slo, since=each.since, until=each.until, now=NOW) for each in asked]
    assert list(counts_of(asked, now=NOW)) == alone
    assert {each.unknown_seconds for each in alone} >= {0, 300}
    assert len({each.valid for each in alone}) > 6


def test_an_hours_figure_is_in_every_range_that_begins_within_it() -> None:
    lived()
    slo = objectives().slo("availability")
    assert list(sums_of([Asked(slo, *span) for span in SPANS])) == [counted_by_hand(slo, *span) for span in SPANS]


def test_many_ranges_take_as_many_queries_as_one() -> None:
    lived()
    taken = []
    for spans in (SPANS[:1], SPANS):
        with CaptureQueriesContext(connection) as queries:
            counts_of([Asked(slo, *span) for slo in objectives().slos.values() for span in spans], now=NOW)
        taken.append(len(queries))
    assert taken[0] == taken[1]


def test_nothing_asked_is_nothing_read() -> None:
    assert list(counts_of([], now=NOW)) == []
