"""The soak's judgement: a leak is found, noise and warm-up are not one, and what could not be told is never flat."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import psycopg
import pytest

from bench.soak.report import EXIT_CANNOT_TELL, EXIT_FAIL, EXIT_WELL, Soak, as_text, write_files
from bench.soak.sample import EVERY_SECONDS, census, postgresql_figures, redis_figures
from bench.soak.series import FLAT, Load, series_of
from bench.soak.trend import Nature, Rule, Verdict, trend_of
from ingestion.buffer import keys
from tests.support.lanes import LaneKit
from tests.support.workers import database_url

MEMORY = Rule(share=0.05, amount=4.0)
TEN_MINUTES = 600.0
LOAD = Load(
    new_per_second=980.0,
    dedupe_window_seconds=262_800,
    identities_at_most=10**12,
    identity_bytes=228,
    shared_buffers_mib=128,
    allocator="jemalloc-5.3.0",
)


def points(value: Callable[[float], float], *, seconds: float = TEN_MINUTES) -> list[tuple[float, float]]:
    count = int(seconds / EVERY_SECONDS) + 1
    return [(number * EVERY_SECONDS, value(number * EVERY_SECONDS)) for number in range(count)]


def noisy(level: float, *, by: float, seed: int = 1) -> Callable[[float], float]:
    rng = random.Random(seed)
    return lambda _: level + rng.uniform(-by, by)


def test_noise_around_a_level_is_flat() -> None:
    for seed in range(5):
        assert trend_of(points(noisy(100, by=3, seed=seed)), rule=MEMORY).verdict is Verdict.FLAT


def test_a_leak_grows_and_its_slope_is_told() -> None:
    noise = noisy(100, by=1)
    found = trend_of(points(lambda at: noise(at) + at * 60 / 3_600), rule=MEMORY)
    assert found.verdict is Verdict.GROWS
    assert 55 < found.per_hour < 65
    assert found.growth > found.allowed


def test_a_leak_too_small_for_the_run_is_flat_and_the_run_says_what_it_cannot_see() -> None:
    found = trend_of(points(lambda at: 100 + at * 20 / 3_600), rule=MEMORY)
    assert found.verdict is Verdict.FLAT
    assert found.unseen_per_hour > 20
    assert trend_of(points(lambda at: 100 + at * 60 / 3_600, seconds=3_600), rule=MEMORY).verdict is Verdict.GROWS


def test_a_warm_up_that_ends_in_the_first_third_is_no_growth() -> None:
    assert trend_of(points(lambda at: min(100, 40 + at * 0.35)), rule=MEMORY).verdict is Verdict.FLAT


def test_single_peaks_do_not_make_a_slope() -> None:
    found = trend_of(points(lambda at: 900.0 if at in (450, 595, 600) else 100.0), rule=MEMORY)
    assert (found.verdict, found.per_hour) == (Verdict.FLAT, 0)


def test_what_falls_is_flat() -> None:
    assert trend_of(points(lambda at: 500 - at / 2), rule=MEMORY).verdict is Verdict.FLAT


@pytest.mark.parametrize("seconds", [60, 140])
def test_a_short_run_is_never_flat(seconds: float) -> None:
    assert trend_of(points(lambda _: 1.0, seconds=seconds), rule=MEMORY).verdict is Verdict.TOO_SHORT


def test_one_descriptor_a_minute_is_a_leak() -> None:
    _, rule = FLAT["fds"]
    assert trend_of(points(lambda at: 40 + at // 60), rule=rule).verdict is Verdict.GROWS


@pytest.mark.parametrize(("share", "verdict"), [(1.0, Verdict.AS_EXPECTED), (1.3, Verdict.GROWS)])
def test_what_grows_by_nature_may_not_grow_faster_than_it_should(share: float, verdict: Verdict) -> None:
    nature = Nature(expected_per_hour=3_600, amount=1, why="one a second", bound="none")
    assert trend_of(points(lambda at: at * share), rule=nature).verdict is verdict


def samples(**changed: Callable[[float], float]) -> list[dict[str, float]]:
    """A healthy run of ten minutes, or one with these series instead."""
    well: dict[str, Callable[[float], float]] = {
        "worker 1|pss": noisy(90, by=1),
        "worker 1|fds": lambda _: 10,
        "redis|identities": lambda at: at * 980,
        "redis|other_keys": noisy(40, by=6),
        "redis|besides_identities": noisy(3, by=0.2),
        "redis|aof": lambda at: at * 2.5,
        "postgresql|tables": lambda at: at * 3,
        "ack|p95": noisy(9, by=2),
    }
    renamed = {name.replace("__", "|").replace("_1", " 1"): value for name, value in changed.items()}
    return [
        {"at_seconds": at, **{name: value(at) for name, value in {**well, **renamed}.items()}}
        for at, _ in points(lambda _: 0)
    ]


def soak(found: list[dict[str, float]], **fields: Any) -> Soak:
    given: dict[str, Any] = {
        "reconciled": {"lost": 0, "order violations": 0},
        "totals": {"planned": 600_000},
        "keys_by_kind": [],
        "broken": [],
        "doubts": [],
    }
    return Soak(seconds=600, rate=1_000, samples=found, series=series_of(found, load=LOAD), **{**given, **fields})


def test_a_healthy_run_is_flat_and_says_what_grew_by_nature() -> None:
    run = soak(samples())
    assert (run.growing, run.exit_code) == ([], EXIT_WELL)
    assert run.conclusion.startswith("FLAT")
    text = as_text(run)
    assert "redis|identities: one identity for each new event, kept for 73 h" in text
    assert "GROWS" not in text


@pytest.mark.parametrize(
    ("name", "leak"),
    [
        ("worker_1__pss", lambda at: 90 + at / 60),
        ("worker_1__fds", lambda at: 10 + at // 60),
        ("redis__other_keys", lambda at: 40 + at),
        ("redis__besides_identities", lambda at: 3 + at / 60),
        ("redis__identities", lambda at: at * 980 * 1.2),
        ("postgresql__tables", lambda at: at * 3 + at * at / 200),
        ("ack__p95", lambda at: 9 + at / 20),
    ],
)
def test_each_leak_alone_fails_the_run_by_name(name: str, leak: Callable[[float], float]) -> None:
    run = soak(samples(**{name: leak}))
    assert [each.name for each in run.growing] == [name.replace("__", "|").replace("_1", " 1")]
    assert run.exit_code == EXIT_FAIL


def linear(slope: float, at: float) -> float:
    return 5 + slope * at


def test_holes_between_identities_are_expected_of_libcs_allocator_alone() -> None:
    """And only as many as were measured."""
    for allocator, bytes_each, is_well in (("libc", 445, True), ("libc", 900, False), ("jemalloc-5.3.0", 445, False)):
        slope = 980 * bytes_each / 1_048_576
        found = samples(redis__rss_over_used=partial(linear, slope))
        series = series_of(found, load=replace(LOAD, allocator=allocator))
        verdict = next(each.trend.verdict for each in series if each.name == "redis|rss_over_used")
        assert (verdict is not Verdict.GROWS) == is_well, (allocator, bytes_each)


def test_latency_that_grew_on_a_busy_machine_is_inconclusive_and_memory_that_grew_there_is_not() -> None:
    busy = ["the machine was busy (99 % of its CPU): latency says nothing"]
    assert soak(samples(ack__p95=lambda at: 9 + at / 20), doubts=busy).exit_code == EXIT_CANNOT_TELL
    assert soak(samples(worker_1__pss=lambda at: 90 + at / 60), doubts=busy).exit_code == EXIT_FAIL


def test_a_lost_event_or_a_dead_process_fails_a_flat_run() -> None:
    assert soak(samples(), reconciled={"lost": 1}).exit_code == EXIT_FAIL
    assert soak(samples(), broken=["worker 2 ended with -9"]).exit_code == EXIT_FAIL


def test_what_could_not_be_told_is_no_success() -> None:
    unknown = soak(samples(), reconciled={"lost": None})
    assert (unknown.exit_code, "UNKNOWN" in unknown.conclusion) == (EXIT_CANNOT_TELL, True)
    assert soak(samples(), doubts=["the generator offered 700/s instead of 1,000/s"]).exit_code == EXIT_CANNOT_TELL
    assert soak(samples()[:20]).exit_code == EXIT_CANNOT_TELL
    assert soak([]).exit_code == EXIT_CANNOT_TELL


def test_the_files_are_readable_and_hold_every_sample(tmp_path: Path) -> None:
    run = soak(samples())
    write_files(tmp_path, run)
    told = json.loads((tmp_path / "soak.json").read_text(), parse_constant=pytest.fail)
    assert [each["name"] for each in told["series"]] == [each.name for each in run.series]
    assert len((tmp_path / "soak.csv").read_text().splitlines()) == len(run.samples) + 1
    assert "| worker 1: pss | MiB |" in (tmp_path / "soak.md").read_text()


def test_a_census_tells_identities_from_what_else_was_left_in_redis(lanes: LaneKit) -> None:
    client = lanes.buffer.client
    before = census(client)
    lanes.receive_many([f"evt-{n}" for n in range(50)])
    for number in range(30):
        client.hset(keys.rq_job(b"left-%d" % number), mapping={"data": "x" * 500})
    after = census(client)
    assert after.counts["identities"] - before.counts["identities"] == 50
    assert after.counts["rq:job"] - before.counts["rq:job"] == 31  # and the lane's own drain job
    assert after.others_bytes - before.others_bytes > 30 * 500
    assert 100 < after.identity_bytes < 400
    figures = redis_figures(client, after)
    assert figures["redis|identities"] == 50
    assert figures["redis|waiting"] == 0  # nobody has settled the number of lanes here
    lanes.buffer.settle_lane_count(4)
    assert redis_figures(client, after)["redis|waiting"] == 50


@pytest.mark.django_db
def test_postgresql_is_asked_for_its_connections_and_tables() -> None:
    with psycopg.connect(database_url(), autocommit=True) as database:
        found = postgresql_figures(database)
    assert found["postgresql|connections"] >= 1
    assert found["postgresql|tables"] >= found["table ingestion_event|size"] > 0


@pytest.mark.parametrize(
    "arguments",
    [["--seconds", "5"], ["--rate", "0"], ["--rate", "1000000"], ["--out", "."]],
    ids=lambda words: words[0],
)
def test_wrong_usage_starts_nothing_and_says_what_is_right(arguments: list[str]) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "bench.soak", *arguments], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 2
    assert arguments[0] in done.stderr.splitlines()[-1]
