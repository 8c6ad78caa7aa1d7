"""Roll-ups say what their sources said: nothing counts twice, and nothing that comes late is lost."""

from __future__ import annotations

import random
import threading
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import pytest
from django.db import connection, transaction
from django.db.models import Sum

from autocom.kernel.clock import SYSTEM_CLOCK, Clock, ManualClock, us_of
from ingestion.latency import StageCounts, Taken
from ingestion.latency_store import store
from ingestion.models import HOUR, MINUTE, AckOutcome, FlushMark, LatencyFlush, RefusalCount
from ingestion.pacing import Pace
from ingestion.refusals.selectors import refusal_summary
from ingestion.roll_up import roll_up_hours, roll_up_minutes
from ingestion.selectors import StageLatency, stage_latencies
from tests.support.ageing import POLICY, age
from tests.support.workers import wait_for

pytestmark = pytest.mark.django_db(transaction=True)
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
PACE = Pace(pause=timedelta(0))


def at(moment: datetime) -> Clock:
    return ManualClock(wall_us=us_of(moment))


def flush(
    number: int, *, minute: datetime = NOON, process: str = "p1", durations_us: Sequence[int] = (5_000,)
) -> Taken:
    """One second of one process, stored: latencies, an answer for each and a refusal."""
    counts = StageCounts()
    for duration_us in durations_us:
        counts.add(duration_us)
    taken = Taken(
        flush_number=number,
        stages={(minute, "ack", "default"): counts},
        outcomes=Counter({(minute, "default", "accepted"): len(durations_us)}),
        refusals=Counter({(minute, "default", "too_old"): 1}),
    )
    store(taken, process=process)
    return taken


def latencies(since: datetime = NOON, until: datetime = NOON + timedelta(hours=1)) -> StageLatency:
    return next(each for each in stage_latencies(since=since, until=until) if each.stage == "ack")


def totals() -> tuple[int, ...]:
    exact = LatencyFlush.objects.aggregate(*[Sum(name) for name in ("count", "within_slo_count", "sum_us")])
    return tuple(
        total or 0
        for total in (
            *exact.values(),
            LatencyFlush.objects.aggregate(total=Sum("clamped_count"))["total"],
            AckOutcome.objects.aggregate(total=Sum("count"))["total"],
            RefusalCount.objects.aggregate(total=Sum("count"))["total"],
        )
    )


def test_a_minute_of_many_flushes_becomes_one_row_that_says_the_same() -> None:
    for number in range(1, 61):
        for process in ("p1", "p2", "p3"):
            flush(number, process=process, durations_us=[number * 2_100, 120_000, 120_001, 70_000_000])
    before, sums = latencies(), totals()
    roll_up_minutes(pace=PACE, clock=at(NOON + timedelta(minutes=12)))
    assert (LatencyFlush.objects.count(), AckOutcome.objects.count(), RefusalCount.objects.count()) == (1, 1, 1)
    assert LatencyFlush.objects.get().process == MINUTE
    assert (latencies(), totals()) == (before, sums)


@pytest.mark.parametrize("seed", range(4))
def test_every_reader_says_the_same_before_and_after_for_any_range(seed: int) -> None:
    """Minutes for any range; hours for ranges of full hours."""
    chance = random.Random(seed)
    numbers = dict.fromkeys(("p1", "p2"), 0)
    for second in sorted(chance.randrange(4 * 3_600) for _ in range(60)):
        process = chance.choice(("p1", "p2"))
        numbers[process] += 1
        minute = (NOON + timedelta(seconds=second)).replace(second=0)
        durations = [chance.choice((chance.randrange(1, 200_000), 61_000_000)) for _ in range(chance.randrange(1, 9))]
        flush(numbers[process], minute=minute, process=process, durations_us=durations)
    starts = [NOON + timedelta(seconds=chance.randrange(-60, 4 * 3_600)) for _ in range(5)]
    ranges = [(start, start + timedelta(seconds=chance.randrange(1, 9_000))) for start in starts]
    hours = [(NOON + timedelta(hours=a), NOON + timedelta(hours=b)) for a, b in ((0, 1), (1, 3), (0, 4))]
    read = [latencies(*each) for each in ranges]
    read_hours = [latencies(*each) for each in hours]
    refusals = [refusal_summary("default", now=start).last_hour for start in starts]
    sums = totals()
    roll_up_minutes(pace=PACE, clock=at(NOON + timedelta(hours=9)))
    assert [latencies(*each) for each in ranges] == read
    assert [refusal_summary("default", now=start).last_hour for start in starts] == refusals
    roll_up_hours(pace=PACE, clock=at(NOON + timedelta(days=3)))
    assert [latencies(*each) for each in hours] == read_hours
    assert totals() == sums
    assert set(LatencyFlush.objects.values_list("process", flat=True)) == {HOUR}


def test_young_minutes_and_hours_are_left_as_they_are() -> None:
    flush(1)
    roll_up_minutes(pace=PACE, clock=at(NOON + timedelta(minutes=3, seconds=59)))
    assert LatencyFlush.objects.get().process == "p1"
    roll_up_minutes(pace=PACE, clock=at(NOON + timedelta(minutes=5)))
    roll_up_hours(pace=PACE, clock=at(NOON + timedelta(days=2, minutes=59)))
    assert LatencyFlush.objects.get().process == MINUTE
    roll_up_hours(pace=PACE, clock=at(NOON + timedelta(days=2, hours=1)))
    assert LatencyFlush.objects.get().process == HOUR


def test_a_flush_that_comes_late_still_counts_at_once_and_after_the_next_roll_up() -> None:
    flush(1)
    flush(1, process="p2")
    roll_up_minutes(pace=PACE, clock=at(NOON + timedelta(minutes=12)))
    flush(2, process="p2", durations_us=[7_000, 8_000])  # kept through an outage of PostgreSQL
    flush(1, process="p3")
    assert latencies().count == 5
    roll_up_minutes(pace=PACE, clock=at(NOON + timedelta(minutes=13)))
    assert (latencies().count, LatencyFlush.objects.count(), AckOutcome.objects.get().count) == (5, 1, 5)
    roll_up_hours(pace=PACE, clock=at(NOON + timedelta(days=3)))
    flush(3, process="p2")
    roll_up_minutes(pace=PACE, clock=at(NOON + timedelta(days=3)))
    roll_up_hours(pace=PACE, clock=at(NOON + timedelta(days=3)))
    assert (latencies().count, LatencyFlush.objects.count()) == (6, 1)


def test_a_flush_that_comes_again_after_its_roll_up_does_not_count_twice() -> None:
    taken = flush(1)
    flush(2, minute=NOON + timedelta(minutes=1))
    roll_up_minutes(pace=PACE, clock=at(NOON + timedelta(minutes=12)))
    store(taken, process="p1")
    assert totals()[0] == 2
    roll_up_hours(pace=PACE, clock=at(NOON + timedelta(days=3)))
    store(taken, process="p1")
    assert (totals()[0], AckOutcome.objects.aggregate(n=Sum("count"))["n"]) == (2, 2)


def test_of_a_flush_over_two_minutes_that_comes_again_the_rolled_up_half_is_not_counted_again() -> None:
    later = NOON + timedelta(minutes=1)
    taken = Taken(
        flush_number=1,
        stages={(NOON, "ack", "default"): StageCounts(), (later, "ack", "default"): StageCounts()},
        outcomes=Counter(),
    )
    for counts in taken.stages.values():
        counts.add(5_000)
    store(taken, process="p1")
    roll_up_minutes(pace=PACE, clock=at(NOON + timedelta(minutes=4, seconds=30)))
    assert sorted(LatencyFlush.objects.values_list("process", flat=True)) == [MINUTE, "p1"]
    store(taken, process="p1")
    assert totals()[0] == 2


def test_a_repeat_that_meets_the_roll_up_of_its_own_rows_does_not_count_twice() -> None:
    taken = flush(1)
    with_lock, may_end = threading.Event(), threading.Event()

    def rolled() -> None:
        try:
            with transaction.atomic():
                roll_up_minutes(pace=PACE, clock=at(NOON + timedelta(minutes=12)))
                with_lock.set()
                may_end.wait(20)
        finally:
            connection.close()

    def repeated() -> None:
        try:
            store(taken, process="p1")
        finally:
            connection.close()

    rolling, repeating = threading.Thread(target=rolled), threading.Thread(target=repeated)
    rolling.start()
    assert with_lock.wait(10)
    repeating.start()
    wait_for(is_anybody_blocked, what="the repeat waits for the roll-up")
    may_end.set()
    rolling.join(20)
    repeating.join(20)
    assert (totals()[0], LatencyFlush.objects.count()) == (1, 1)


def is_anybody_blocked() -> bool:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FROM pg_stat_activity"
            " WHERE datname = current_database() AND cardinality(pg_blocking_pids(pid)) > 0"
        )
        return bool(cursor.fetchone()[0])


def test_a_crash_within_a_roll_up_leaves_its_sources(monkeypatch: pytest.MonkeyPatch) -> None:
    flush(1)
    flush(2)
    before = latencies()

    def broken(*_: object, **__: object) -> None:
        raise RuntimeError("killed")

    monkeypatch.setattr(type(LatencyFlush.objects), "create", broken)
    with pytest.raises(RuntimeError):
        roll_up_minutes(pace=PACE, clock=at(NOON + timedelta(minutes=12)))
    monkeypatch.undo()
    assert (LatencyFlush.objects.count(), FlushMark.objects.count(), latencies()) == (2, 0, before)


def test_two_roll_ups_at_once_count_each_row_once() -> None:
    for number in range(1, 40):
        for offset in range(5):
            flush(number, minute=NOON + timedelta(minutes=offset), process=f"p{offset}")
    sums = totals()

    def rolled() -> None:
        try:
            for _ in range(3):
                roll_up_minutes(pace=PACE, clock=at(NOON + timedelta(minutes=20)))
        finally:
            connection.close()

    threads = [threading.Thread(target=rolled) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    roll_up_minutes(pace=PACE, clock=at(NOON + timedelta(minutes=20)))
    assert (totals(), LatencyFlush.objects.count(), AckOutcome.objects.count()) == (sums, 5, 5)


def test_figures_go_after_their_own_term() -> None:
    today = datetime.now(UTC).replace(second=0, microsecond=0)
    flush(1, minute=today)
    assert age(days=399).removed == {}
    assert age(days=401).removed == {"latencies": 1, "answers": 1, "refusals": 1}
    assert POLICY.figures_days == 400
    assert SYSTEM_CLOCK.now_us() > us_of(today)
