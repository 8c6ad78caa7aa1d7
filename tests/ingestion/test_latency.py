"""Figures: exact at 120 ms, merged and never averaged, stored once whatever is repeated."""

from __future__ import annotations

import gc
import math
import threading
import weakref
from datetime import UTC, datetime
from fractions import Fraction

import pytest
import redis
from django.db import OperationalError
from hdrh.histogram import HdrHistogram
from hypothesis import given, settings
from hypothesis import strategies as st

from ingestion import latency_store
from ingestion.buffer import keys
from ingestion.buffer.store import LaneBuffer, redis_client
from ingestion.latency import (
    DIGITS,
    EDGES_US,
    HIGHEST_US,
    SLO_US,
    LatencyRecorder,
    Stage,
    StageCounts,
    nearest_rank_us,
    new_histogram,
)
from ingestion.latency_store import LatencyFlusher, counts_by_edge, encoded, merge_encoded, merged, store
from ingestion.metrics import stage_histograms
from ingestion.models import AckOutcome, LatencyFlush
from ingestion.selectors import stage_latencies

DURATIONS_US = st.integers(0, HIGHEST_US)
LONG_AGO, FAR_AHEAD = datetime(2020, 1, 1, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC)


def counted(durations_us: list[int]) -> StageCounts:
    counts = StageCounts()
    for duration_us in durations_us:
        counts.add(duration_us)
    return counts


def nearest_rank(durations_us: list[int], percent: Fraction) -> int:
    return sorted(durations_us)[max(math.ceil(len(durations_us) * percent / 100), 1) - 1]


@pytest.mark.parametrize(("count", "is_shown"), [(199, False), (200, True)])
@pytest.mark.django_db(transaction=True)
def test_a_p95_is_shown_from_two_hundred_samples_on(count: int, is_shown: bool) -> None:
    recorder = LatencyRecorder(process="test-1")
    recorder.record_many(Stage.ACK, "default", {5_000: count})
    store(recorder.take(), process="test-1")
    (ack,) = (each for each in stage_latencies(since=LONG_AGO, until=FAR_AHEAD) if each.stage == "ack")
    assert (ack.p95_ms is not None, ack.p99_ms, ack.p50_ms is not None) == (is_shown, None, True)


@pytest.mark.parametrize(("duration_us", "is_good"), [(119_999, 1), (120_000, 1), (120_001, 0), (120_063, 0)])
def test_the_edge_of_the_objective_is_exact_to_the_microsecond(duration_us: int, is_good: int) -> None:
    counts = counted([duration_us])
    assert counts.within_slo_count == is_good
    assert counts.bucket_counts[EDGES_US.index(SLO_US)] == is_good
    by_edge = counts_by_edge(counts.histogram, within_slo_count=counts.within_slo_count)
    assert by_edge[EDGES_US.index(SLO_US)] == is_good
    assert sum(by_edge) == 1


def test_a_duration_beyond_the_histogram_is_clamped_and_counted() -> None:
    counts = counted([HIGHEST_US, HIGHEST_US + 1, 10 * HIGHEST_US])
    assert (counts.count, counts.clamped_count, counts.max_us) == (3, 2, 10 * HIGHEST_US)
    assert counts.bucket_counts[-1] == 2


def test_a_clock_that_went_back_is_counted_as_the_shortest_duration() -> None:
    counts = counted([-5, 0])
    assert (counts.count, counts.within_slo_count, counts.bucket_counts[0]) == (2, 2, 2)


@given(st.lists(DURATIONS_US, min_size=1, max_size=60))
@settings(max_examples=60, deadline=None)
def test_the_buckets_hold_every_duration_where_it_belongs(durations_us: list[int]) -> None:
    counts = counted(durations_us)
    expected = [
        sum(1 for d in durations_us if low < d <= high) for low, high in zip((-1, *EDGES_US), EDGES_US, strict=False)
    ]
    assert counts.bucket_counts[:-1] == expected
    assert counts.within_slo_count == sum(1 for d in durations_us if d <= SLO_US)
    assert sum(counts.bucket_counts) == counts.count == len(durations_us)


@given(st.lists(st.lists(DURATIONS_US, min_size=1, max_size=40), min_size=1, max_size=6))
@settings(max_examples=60, deadline=None)
def test_merged_percentiles_are_those_of_all_durations_together(parts: list[list[int]]) -> None:
    total = merged(iter([encoded(counted(part).histogram) for part in parts]))
    every = [max(duration_us, 1) for part in parts for duration_us in part]
    assert total.total_count == len(every)
    for percent in (Fraction(50), Fraction(95), Fraction(99), Fraction(999, 10), Fraction(100)):
        exact = nearest_rank(every, percent)
        assert exact <= nearest_rank_us(total, share=float(percent / 100)) <= exact * (1 + 10**-DIGITS) + 1


@given(st.lists(st.tuples(DURATIONS_US, st.integers(1, 5)), min_size=1, max_size=30))
@settings(max_examples=40, deadline=None)
def test_durations_recorded_by_their_count_are_as_recorded_one_by_one(pairs: list[tuple[int, int]]) -> None:
    one_by_one, together = LatencyRecorder(process="a"), LatencyRecorder(process="b")
    for duration_us, count in pairs:
        together.record_many(Stage.ACK, "p", {duration_us: count})
        for _ in range(count):
            one_by_one.record(Stage.ACK, "p", duration_us)
    (first,), (second,) = one_by_one.take().stages.values(), together.take().stages.values()
    assert (first.bucket_counts, first.sum_us, first.max_us, first.within_slo_count, first.count) == (
        (second.bucket_counts, second.sum_us, second.max_us, second.within_slo_count, second.count)
    )
    assert encoded(first.histogram) == encoded(second.histogram)


def test_threads_that_record_while_another_takes_lose_no_count() -> None:
    recorder = LatencyRecorder(process="test")
    found = [0, 0]
    done = threading.Event()

    def record() -> None:
        for _ in range(2_000):
            recorder.record(Stage.ACK, "p", 1_000)
            recorder.record_outcome("p", "accepted")

    def take() -> None:
        while True:
            is_last = done.is_set()
            taken = recorder.take()
            found[0] += sum(counts.count for counts in taken.stages.values())
            found[1] += sum(taken.outcomes.values())
            if is_last:
                return

    taker = threading.Thread(target=take)
    writers = [threading.Thread(target=record) for _ in range(4)]
    for thread in (taker, *writers):
        thread.start()
    for thread in writers:
        thread.join()
    done.set()
    taker.join()
    assert found == [8_000, 8_000]


@pytest.mark.django_db(transaction=True)
class TestStored:
    def recorder(self) -> LatencyRecorder:
        recorder = LatencyRecorder(process="test-1")
        for duration_us in (1_000, 50_000, 120_000, 130_000):
            recorder.record(Stage.ACK, "default", duration_us)
        recorder.record_outcome("default", "accepted")
        return recorder

    def test_a_flush_stored_twice_counts_once(self) -> None:
        taken = self.recorder().take()
        store(taken, process="test-1")
        store(taken, process="test-1")
        assert (LatencyFlush.objects.count(), AckOutcome.objects.count()) == (1, 1)
        (ack,) = (each for each in stage_latencies(since=LONG_AGO, until=FAR_AHEAD) if each.stage == "ack")
        assert (ack.count, ack.within_slo_count, ack.max_ms) == (4, 3, 130.0)
        assert dict(ack.buckets)[120.0] == 1

    def test_a_failed_flush_is_repeated_under_its_number_before_anything_newer(
        self, buffer: LaneBuffer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        recorder = self.recorder()
        flusher = LatencyFlusher(recorder, client=buffer.client)
        real_store = latency_store.store

        def stored_but_unanswered(taken: object, *, process: str) -> None:
            real_store(taken, process=process)  # type: ignore[arg-type]
            raise OperationalError("the connection broke at COMMIT")

        monkeypatch.setattr(latency_store, "store", stored_but_unanswered)
        assert not flusher.flush()
        recorder.record(Stage.ACK, "default", 7_000)
        monkeypatch.undo()
        assert flusher.flush()
        assert LatencyFlush.objects.get().flush_number == 1
        assert flusher.flush()
        assert sorted(LatencyFlush.objects.values_list("flush_number", "count")) == [(1, 4), (2, 1)]

    def test_nothing_measured_writes_nothing(self, buffer: LaneBuffer) -> None:
        assert LatencyFlusher(LatencyRecorder(process="idle"), client=buffer.client).flush()
        assert not LatencyFlush.objects.exists()

    def test_prometheus_totals_agree_with_the_rows_to_the_bucket(self, buffer: LaneBuffer) -> None:
        recorder = LatencyRecorder(process="test-1")
        flusher = LatencyFlusher(recorder, client=buffer.client)
        edges = (1_000, 1_001, SLO_US, SLO_US + 1, SLO_US + 63, HIGHEST_US, HIGHEST_US + 1)
        for turn in range(3):
            for duration_us in edges:
                recorder.record(Stage.ACK, "default", duration_us + turn)
            assert flusher.flush()
        (family,) = stage_histograms(buffer.client.execute_command("HGETALL", keys.METRICS))
        samples = {s.labels.get("le", s.name): s.value for s in family.samples}
        rows = LatencyFlush.objects.filter(stage="ack")
        assert samples["autocom_stage_seconds_count"] == sum(row.count for row in rows) == 3 * len(edges)
        assert samples["0.12"] == sum(row.within_slo_count for row in rows)
        assert samples["autocom_stage_seconds_sum"] == pytest.approx(sum(row.sum_us for row in rows) / 1_000_000)
        assert sum(row.clamped_count for row in rows) == samples["+Inf"] - samples["60"]

    def test_a_redis_that_cannot_be_asked_costs_only_the_totals(self) -> None:
        flusher = LatencyFlusher(self.recorder(), client=redis_client("unix:///nonexistent/valkey.sock"))
        assert flusher.flush()
        assert LatencyFlush.objects.get().count == 4
        with pytest.raises(redis.RedisError):
            redis_client("unix:///nonexistent/valkey.sock").ping()


def test_a_histogram_goes_with_its_last_user_and_waits_for_no_collector() -> None:
    """The collector runs seldom in a server, and a histogram a second and stage is 140 kB each."""
    histogram = counted([7]).histogram
    blob = encoded(histogram)
    gone = weakref.ref(histogram)
    gc.collect()
    gc.disable()
    try:
        del histogram
        before_count = histograms_alive_count()
        total = new_histogram()
        merge_encoded(total, blob)
        assert (gone(), total.total_count) == (None, 1)
        assert histograms_alive_count() == before_count + 1
    finally:
        gc.enable()


def histograms_alive_count() -> int:
    return sum(type(each) is HdrHistogram for each in gc.get_objects())  # a proxy would say that it is one, too
