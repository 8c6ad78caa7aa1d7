"""One look at all that was promised and is due, in a bounded time. Safe to run twice, or twice at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from uuid import UUID

from autocom.kernel.clock import Clock, datetime_of
from evidence.promises.compare import Compared, compare, rows_kept_since
from evidence.promises.incidents import open_incident_count, record_broken, record_gaps, settle_kept_late
from evidence.promises.waiting import DUE_AFTER_US, Gap, gaps_and_losses, late_edges
from evidence.promises.walk import Place, Places, Stretch, next_stretch
from ingestion.buffer import keys
from ingestion.buffer.remembered import PAGE_COUNT, LaneEdges, lane_edges
from ingestion.buffer.store import LaneBuffer
from ingestion.promises import PromiseStanding, keep_standing, standing_of
from ingestion.receipts import Receipt

GROUP_COUNT = 2_000  # promises looked for together
ROUND_COUNT = 2_000  # promises looked for once more in one look, where time is left


@dataclass(frozen=True, slots=True, kw_only=True)
class Checker:
    """Everything a look works with. `now_us` is Redis's clock, which promises are dated by."""

    buffer: LaneBuffer
    lane_count: int
    now_us: int
    clock: Clock
    budget: timedelta = timedelta(seconds=1)

    @property
    def now(self) -> datetime:
        return datetime_of(us=self.now_us)

    @property
    def due_us(self) -> int:
        """What was promised by then must be there now."""
        return self.now_us - DUE_AFTER_US


@dataclass(frozen=True, slots=True, kw_only=True)
class _Group:
    """Stretches that were compared together."""

    after: Place
    checked_count: int
    unread_count: int
    behind_count: int
    is_end: bool
    has_waiting: bool


def check_promises(checker: Checker) -> PromiseStanding:
    """How promises stand now, on record too. Raises BufferUnavailable, django.db.Error, AuditLogBusy; the next look
    goes on from where the last one came to."""
    buffer = checker.buffer
    before = standing_of(buffer) or PromiseStanding()
    deadline_ns = checker.clock.monotonic_ns() + checker.budget // timedelta(microseconds=1) * 1_000
    edges = lane_edges(buffer, lane_count=checker.lane_count)
    gaps, lost = gaps_and_losses(edges)
    record_gaps(gaps)
    late = late_edges(edges, now_us=checker.now_us)
    walked = _walk_due(checker, is_late=bool(late), deadline_ns=deadline_ns)
    if checker.clock.monotonic_ns() < deadline_ns and not walked.behind_count:
        _walk_round(checker)
    _look_again(checker)
    standing = replace(
        _standing(checker, edges=edges, late=late, gaps=gaps, lost=lost),
        behind_count=walked.behind_count,
        checked_count=before.checked_count + walked.checked_count,
        unchecked_count=before.unchecked_count + walked.unread_count,
    )
    keep_standing(standing, buffer=buffer)
    return standing


def cannot_check(problem: str, *, buffer: LaneBuffer) -> None:
    """Nothing is known until the next whole look. Raises BufferUnavailable."""
    keep_standing(replace(standing_of(buffer) or PromiseStanding(), problem=problem), buffer=buffer)


@dataclass(slots=True)
class _Walked:
    checked_count: int = 0
    unread_count: int = 0
    behind_count: int = 0


def _walk_due(checker: Checker, *, is_late: bool, deadline_ns: int) -> _Walked:
    """Those that came due since the last look; and once no lane is late any more, those that waited before."""
    places = Places.kept(checker.buffer)
    if places.again is not None and not is_late:
        places = replace(places, due=places.again, again=None)
    walked = _Walked()
    while True:
        group = _compared_group(checker, places.due, limit_count=GROUP_COUNT)
        again = places.again or (places.due if group.has_waiting else None)
        places = replace(places, due=group.after, again=again)
        places.keep(checker.buffer)
        walked.checked_count += group.checked_count
        walked.unread_count += group.unread_count
        walked.behind_count = 0 if group.is_end else group.behind_count
        if group.is_end or checker.clock.monotonic_ns() >= deadline_ns:
            return walked


def _walk_round(checker: Checker) -> None:
    """Some of those that were there once: a row can be deleted later."""
    places = Places.kept(checker.buffer)
    group = _compared_group(checker, places.round, limit_count=ROUND_COUNT)
    replace(places, round=Place() if group.is_end else group.after).keep(checker.buffer)


def _compared_group(checker: Checker, start: Place, *, limit_count: int) -> _Group:
    """From the place on; what is broken is on record afterwards."""
    stretches = _stretches(checker, start, limit_count=limit_count)
    # an identity that was promised again after its window stands twice in the list, both times with its newer record
    promises = list({promise.event_id: promise for stretch in stretches for promise in stretch.promises}.values())
    compared = _compared(checker, promises)
    record_broken(compared.broken, now=checker.now)
    return _Group(
        after=stretches[-1].after,
        checked_count=len(promises) - len(compared.waiting),
        unread_count=sum(stretch.unread_count for stretch in stretches),
        behind_count=stretches[-1].behind_count,
        is_end=stretches[-1].is_end,
        has_waiting=bool(compared.waiting),
    )


def _stretches(checker: Checker, start: Place, *, limit_count: int) -> Sequence[Stretch]:
    stretches = [next_stretch(checker.buffer, start, due_us=checker.due_us)]
    count = len(stretches[0].promises)
    pages_count = limit_count // PAGE_COUNT + 1  # where records were taken away, pages have few promises or none
    while not stretches[-1].is_end and count < limit_count and len(stretches) < pages_count:
        stretches.append(next_stretch(checker.buffer, stretches[-1].after, due_us=checker.due_us))
        count += len(stretches[-1].promises)
    return stretches


def _compared(checker: Checker, promises: Sequence[Receipt]) -> Compared:
    told_since = rows_kept_since(checker.now)
    return compare(promises, buffer=checker.buffer, lane_count=checker.lane_count, told_since=told_since)


def _look_again(checker: Checker) -> None:
    """At incidents: what turned up after all is kept, though late."""
    kept = checker.buffer.fields(keys.PROMISES).get("incidents_after", "")
    after = UUID(kept) if len(kept) == 36 else UUID(int=0)
    after = settle_kept_late(after=after, now=checker.now)
    checker.buffer.set_fields(keys.PROMISES, {"incidents_after": str(after)})


def _standing(
    checker: Checker, *, edges: Sequence[LaneEdges], late: Sequence[LaneEdges], gaps: Sequence[Gap], lost: Sequence[int]
) -> PromiseStanding:
    return PromiseStanding(
        whole_us=checker.now_us,
        missing_count=open_incident_count(),
        oldest_waiting_us=min((edge.first_accepted_us for edge in edges if edge.entry_count), default=0),
        late_lanes=", ".join(str(edge.lane) for edge in late),
        gaps="; ".join(gap.subject for gap in gaps),
        lost_lanes=", ".join(map(str, lost)),
    )
