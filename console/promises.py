"""How promises stand, for the overview: UNKNOWN where the checker is silent, whatever it said last."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta

from autocom.kernel.clock import datetime_of
from console.shown import age
from evidence.promises.incidents import open_incident_count
from ingestion.buffer.store import lane_buffer
from ingestion.promises import PromiseStanding, standing_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Promises:
    """`standing` is None where nobody has checked lately: `why_unknown`. `open_count` is PostgreSQL's own word."""

    open_count: int
    standing: PromiseStanding | None
    why_unknown: str
    now_us: int

    @property
    def complaints(self) -> Iterator[str]:
        """What a person should look at now."""
        if self.open_count:
            yield f"{self.open_count:,} broken promise{'s' if self.open_count > 1 else ''}"
        if self.standing is None:
            yield f"promises are not checked: {self.why_unknown}"
            return
        if self.standing.late_lanes:
            yield f"events wait for over a minute on lane {self.standing.late_lanes}"
        if self.standing.gaps:
            yield f"gap: {self.standing.gaps}"
        if self.standing.lost_lanes:
            yield f"Redis has lost the data of lane {self.standing.lost_lanes}"

    @property
    def detail(self) -> str:
        if self.standing is None:
            return self.why_unknown
        waiting_us = self.standing.oldest_waiting_us
        if not waiting_us:
            waits = "nothing waits"
        else:
            waits = f"the oldest event waits for {age(timedelta(microseconds=max(self.now_us - waiting_us, 0)))}"
        behind = f", {self.standing.behind_count:,} to go" if self.standing.behind_count else ""
        unchecked = f", {self.standing.unchecked_count:,} not checkable" if self.standing.unchecked_count else ""
        return f"{self.standing.checked_count:,} checked{behind}{unchecked}; {waits}"


def promises_now() -> Promises:
    """Raises BufferUnavailable, django.db.Error."""
    buffer = lane_buffer()
    now_us = buffer.now_us()
    standing = standing_of(buffer)
    is_known = standing is not None and standing.is_known(now_us=now_us)
    return Promises(
        open_count=open_incident_count(),
        standing=standing if is_known else None,
        why_unknown="" if is_known else _why(standing),
        now_us=now_us,
    )


def _why(standing: PromiseStanding | None) -> str:
    if standing is None or (not standing.whole_us and not standing.problem):
        return "the checker has never run: start manage.py cron and worker"
    if standing.problem:
        return standing.problem
    return f"the checker is silent since {datetime_of(us=standing.whole_us):%H:%M:%S} UTC"
