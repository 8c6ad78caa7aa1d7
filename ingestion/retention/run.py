"""One run: each kind in its turn, for as long as the budget lasts."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from typing import Protocol

from autocom.kernel.clock import Clock, datetime_of
from ingestion.pacing import Pace, in_steps
from ingestion.redrive.place import SetAside
from ingestion.retention.bodies import Deliveries, Payloads, SettledAside
from ingestion.retention.bounds import Bounds
from ingestion.retention.events import Events
from ingestion.retention.others import others
from ingestion.retention.policy import RetentionPolicy, moment_before

log = logging.getLogger(__name__)


class Kind(Protocol):
    """One kind of rows that ages out."""

    name: str

    def step(self, limit_count: int) -> int | None: ...

    def due_count(self) -> int: ...


@dataclass(slots=True)
class RetentionReport:
    """Rows that went, by kind. `is_complete`: nothing that may go is left."""

    removed: dict[str, int] = field(default_factory=dict)
    is_complete: bool = True
    not_proved: list[int] = field(default_factory=list)  # numbers of batches that keep their rows


def kinds(policy: RetentionPolicy, *, now: datetime, bounds: Bounds) -> Iterator[Kind]:
    """What may go as things are, in the order in which it must."""
    bodies = moment_before(now, days=policy.body_days)
    events = moment_before(now, days=policy.event_days)
    if bodies:
        yield Payloads(before=bodies, now=now, bounds=bounds)
        yield from _settled(before=bodies, bounds=bounds)
        yield Deliveries(before=bodies)
    if events:
        yield Events(before=events, now=now, bounds=bounds)
    yield from others(policy, now=now)


def _settled(*, before: datetime, bounds: Bounds) -> Iterator[SettledAside]:
    aside = partial(SettledAside, before=before, bounds=bounds)
    yield aside(place=SetAside.DEAD_LETTER, otherwise="dead_at", name="settled dead letters")
    yield aside(place=SetAside.QUARANTINE, otherwise="received_at", name="settled quarantined events")


def age_out(policy: RetentionPolicy, *, bounds: Bounds, pace: Pace, clock: Clock) -> RetentionReport:
    """Removes what is due until the budget is spent. Raises django.db.Error; what was done until then stays done.

    Safe to run twice, or twice at once.
    """
    report = RetentionReport()
    deadline_ns = clock.monotonic_ns() + round(pace.budget.total_seconds() * 1e9)
    for kind in kinds(policy, now=datetime_of(us=clock.now_us()), bounds=bounds):
        outcome = in_steps(kind.step, pace=pace, clock=clock, deadline_ns=deadline_ns)
        report.is_complete &= outcome.is_complete
        if outcome.rows_count:
            report.removed[kind.name] = outcome.rows_count
        report.not_proved += sorted(getattr(kind, "not_proved", ()))
    if report.removed:
        log.info("aged_out", extra={"removed": report.removed, "complete": report.is_complete})
    return report


def due(policy: RetentionPolicy, *, now: datetime, bounds: Bounds) -> Sequence[tuple[str, int]]:
    """How many rows of each kind would go. Counts all of them: for a person who asks, not for a cron job."""
    return [(kind.name, kind.due_count()) for kind in kinds(policy, now=now, bounds=bounds)]
