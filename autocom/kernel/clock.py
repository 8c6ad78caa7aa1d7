"""Time as an argument: wall-clock microseconds for records, monotonic nanoseconds for durations."""

import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Protocol

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Clock(Protocol):
    """The two times that code may ask for."""

    def now_us(self) -> int: ...

    def monotonic_ns(self) -> int: ...


@dataclass(frozen=True, slots=True)
class SystemClock:
    """The machine's clocks. Wall time may jump; monotonic time never does."""

    def now_us(self) -> int:
        return time.time_ns() // 1_000

    def monotonic_ns(self) -> int:
        return time.monotonic_ns()


@dataclass(slots=True)
class ManualClock:
    """A clock that moves only when told, for tests and simulations."""

    wall_us: int = 1_767_225_600_000_000
    steady_ns: int = 0

    def now_us(self) -> int:
        return self.wall_us

    def monotonic_ns(self) -> int:
        return self.steady_ns

    def advance(self, by: timedelta) -> None:
        passed_us = by // timedelta(microseconds=1)
        self.wall_us += passed_us
        self.steady_ns += passed_us * 1_000


SYSTEM_CLOCK = SystemClock()


def datetime_of(*, us: int) -> datetime:
    """Aware UTC datetime of microseconds since 1970, exact (no float between)."""
    return EPOCH + timedelta(microseconds=us)


def us_of(moment: datetime) -> int:
    """Microseconds since 1970 of an aware datetime, exact."""
    return (moment - EPOCH) // timedelta(microseconds=1)
