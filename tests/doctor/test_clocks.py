"""The doctor's clocks: real servers against a machine whose clock is off, and what a slow answer leaves open."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from typing import Any

import pytest
from rq.cron import CronScheduler

from autocom.doctor.finding import Check, Finding, Level
from autocom.doctor.judgements import clocks as checks
from autocom.doctor.judgements.clocks import ClockFacts, Reading
from autocom.doctor.readers import clocks as reader
from autocom.kernel.clock import SYSTEM_CLOCK
from ingestion.buffer.store import LaneBuffer
from tests.doctor.kit import finding, findings

pytestmark = pytest.mark.django_db


@dataclass(frozen=True)
class WrongClock:
    """The machine's clock, so many seconds ahead."""

    ahead_seconds: float

    def now_us(self) -> int:
        return SYSTEM_CLOCK.now_us() + int(self.ahead_seconds * 1_000_000)

    def monotonic_ns(self) -> int:
        return time.monotonic_ns()


@pytest.fixture(autouse=True)
def _empty(buffer: LaneBuffer) -> None:
    """Every test finds and leaves an empty Redis."""


def judged(check: Check, **changes: Any) -> Finding:
    steady = Reading(offset_seconds=0, round_trip_seconds=0.001)
    facts: dict[str, Any] = {
        "redis": steady,
        "postgres": steady,
        "trouble": "",
        "cron_expression_count": 0,
        "zone_is_utc": True,
    }
    (found,) = (each for each in checks.judge(ClockFacts(**facts | changes)) if each.check is check)
    return found


def test_the_clocks_of_one_machine_agree() -> None:
    assert {found.level for found in findings("clocks").values()} == {Level.FINE}


@pytest.mark.parametrize(("ahead_seconds", "level"), [(2.0, Level.WARNING), (-2.0, Level.WARNING), (9.0, Level.FAIL)])
def test_a_machine_whose_clock_is_off_differs_from_both_servers_and_they_not_from_each_other(
    monkeypatch: pytest.MonkeyPatch, ahead_seconds: float, level: Level
) -> None:
    monkeypatch.setattr(reader, "SYSTEM_CLOCK", WrongClock(ahead_seconds))
    found = findings("clocks")
    assert {found["clocks.redis"].level, found["clocks.postgres"].level} == {level}
    assert found["clocks.redis_postgres"].level is Level.FINE


def test_servers_that_differ_from_each_other_fail() -> None:
    ahead = Reading(offset_seconds=3, round_trip_seconds=0.01)
    behind = Reading(offset_seconds=-3, round_trip_seconds=0.01)
    assert judged(checks.BETWEEN, redis=ahead, postgres=behind).level is Level.FAIL
    assert judged(checks.REDIS, redis=ahead, postgres=behind).level is Level.WARNING


@pytest.mark.parametrize(
    ("offset_seconds", "round_trip_seconds", "level"),
    [
        (0.4, 0.1, Level.FINE),
        (0.5, 0.2, Level.WARNING),  # it may be 0.6
        (0.0, 20.0, Level.UNKNOWN),  # it may be anything up to 10
        (5.2, 0.2, Level.FAIL),
        (5.2, 0.6, Level.WARNING),  # it may be 4.9
    ],
)
def test_what_the_round_trip_leaves_open_counts(offset_seconds: float, round_trip_seconds: float, level: Level) -> None:
    reading = Reading(offset_seconds=offset_seconds, round_trip_seconds=round_trip_seconds)
    assert judged(checks.REDIS, redis=reading).level is level


def test_the_shortest_of_several_round_trips_is_taken() -> None:
    waits = iter([0.0, 0.05, 0.05, 0.0, 0.05, 0.05, 0.05, 0.05])

    def ask_us() -> int:
        told_us = SYSTEM_CLOCK.now_us()
        time.sleep(next(waits))
        return told_us

    assert reader.reading(ask_us, clock=SYSTEM_CLOCK).round_trip_seconds < 0.04


def test_a_server_that_cannot_be_asked_leaves_its_clock_unknown_and_the_other_judged() -> None:
    trouble = {"redis": None, "trouble": "Redis could not be asked: TimeoutError"}
    assert judged(checks.REDIS, **trouble).level is Level.UNKNOWN
    assert judged(checks.BETWEEN, **trouble).level is Level.UNKNOWN
    assert judged(checks.POSTGRES, **trouble).level is Level.FINE


def test_jobs_by_cron_expression_need_a_zone_without_summer_time(buffer: LaneBuffer) -> None:
    scheduler: Any = CronScheduler(connection=buffer.client)
    scheduler.register(json.dumps, queue_name="ops", cron="30 2 * * *")
    scheduler.register_birth()
    found = finding(checks.CRON_ZONE)
    assert (found.level, found.found) == (Level.FINE, "1 jobs by cron expression, in UTC")
    assert judged(checks.CRON_ZONE, cron_expression_count=1, zone_is_utc=False).level is Level.WARNING
    assert judged(checks.CRON_ZONE, cron_expression_count=None, trouble="?").level is Level.UNKNOWN
