"""Times: exact to the microsecond, with no float between."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

from hypothesis import given
from hypothesis import strategies as st

from autocom.kernel.clock import SYSTEM_CLOCK, ManualClock, datetime_of, us_of


@given(st.integers(0, 253_402_300_799_999_999))
def test_microseconds_survive_the_way_to_a_datetime_and_back(moment_us: int) -> None:
    moment = datetime_of(us=moment_us)
    assert us_of(moment) == moment_us
    assert moment.tzinfo is UTC


def test_a_datetime_of_another_zone_is_the_same_moment() -> None:
    there = timezone(timedelta(hours=5, minutes=30))
    assert us_of(datetime(1970, 1, 1, 5, 30, 0, 7, tzinfo=there)) == 7


def test_the_machines_clock_is_in_microseconds_and_its_steady_clock_never_goes_back() -> None:
    assert abs(SYSTEM_CLOCK.now_us() - us_of(datetime.now(UTC))) < 60_000_000
    assert SYSTEM_CLOCK.monotonic_ns() <= SYSTEM_CLOCK.monotonic_ns()


def test_a_manual_clock_moves_only_when_told_and_both_times_together() -> None:
    clock = ManualClock()
    before = (clock.now_us(), clock.monotonic_ns())
    assert (clock.now_us(), clock.monotonic_ns()) == before
    clock.advance(timedelta(microseconds=3))
    assert (clock.now_us(), clock.monotonic_ns()) == (before[0] + 3, before[1] + 3_000)
