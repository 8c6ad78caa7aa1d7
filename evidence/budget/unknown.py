"""Which minutes nobody measured. Pure."""

from __future__ import annotations

from collections.abc import Container
from datetime import datetime, timedelta

MINUTE = timedelta(minutes=1)
UNMEASURED_COUNT = 3  # a restart leaves a minute or two without a note; three in a row were not measured


def floor_minute(moment: datetime) -> datetime:
    return moment.replace(second=0, microsecond=0)


def floor_hour(moment: datetime) -> datetime:
    return moment.replace(minute=0, second=0, microsecond=0)


def unknown_seconds(measured: Container[datetime], *, since: datetime, until: datetime, now: datetime) -> int:
    """Of whole minutes in [since, until), those in a row of at least three that nobody measured.

    `measured` has to tell of `LOOK_AROUND` before and after too, where the row may go on. Minutes that are not over,
    or so lately that they may still be on their way, are not missing.
    """
    settled = floor_minute(now) - MINUTE
    total = run = inside = 0
    at = since - LOOK_AROUND
    while at < until + LOOK_AROUND:
        if at in measured or at >= settled:
            total += inside if run >= UNMEASURED_COUNT else 0
            run = inside = 0
        else:
            run += 1
            inside += since <= at < until
        at += MINUTE
    return 60 * (total + (inside if run >= UNMEASURED_COUNT else 0))


LOOK_AROUND = MINUTE * (UNMEASURED_COUNT - 1)
