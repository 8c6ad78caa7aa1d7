"""What the lanes hold: events that wait are late, not lost; sequences that are nowhere are a gap."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from ingestion.buffer.remembered import LaneEdges, held_sequences
from ingestion.buffer.store import LaneBuffer
from ingestion.models import Lane
from ingestion.promises import DUE_AFTER
from ingestion.receipts import Receipt

DUE_AFTER_US = DUE_AFTER // timedelta(microseconds=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Gap:
    """Sequences that the lane gave out, neither settled nor on it: `count` of those between the two ends."""

    lane: int
    epoch: int
    first_sequence: int
    last_sequence: int
    count: int

    @property
    def subject(self) -> str:
        return f"lane {self.lane} epoch {self.epoch} sequences {self.first_sequence} to {self.last_sequence}"


def still_waiting(promises: Sequence[Receipt], *, edges: Sequence[LaneEdges], buffer: LaneBuffer) -> set[UUID]:
    """Those of the promises whose entry is on its lane. Raises BufferUnavailable."""
    by_lane: dict[int, list[Receipt]] = defaultdict(list)
    for promise in promises:
        by_lane[promise.lane].append(promise)
    return {event_id for edge in edges for event_id in _waiting_on(edge, by_lane.get(edge.lane, ()), buffer=buffer)}


def _waiting_on(edge: LaneEdges, promises: Sequence[Receipt], *, buffer: LaneBuffer) -> set[UUID]:
    within = [p for p in promises if p.epoch == edge.epoch and edge.first_sequence <= p.sequence <= edge.last_sequence]
    if within and not edge.is_dense:
        held = held_sequences(buffer, lane=edge.lane, sequences=[p.sequence for p in within])
        within = [promise for promise in within if promise.sequence in held]
    return {promise.event_id for promise in within}


def late_edges(edges: Sequence[LaneEdges], *, now_us: int) -> list[LaneEdges]:
    """Lanes whose oldest entry waits for longer than it should."""
    return [edge for edge in edges if edge.entry_count and now_us - edge.first_accepted_us > DUE_AFTER_US]


def gaps_and_losses(edges: Sequence[LaneEdges]) -> tuple[list[Gap], list[int]]:
    """Gaps, and the lanes where Redis knows less than is settled. Reads the cursors, so it must come after the edges
    were read: what a commit settled in between is then not taken for missing. Raises django.db.Error."""
    cursors = {lane.number: (lane.epoch, lane.cursor) for lane in Lane.objects.all()}
    gaps: list[Gap] = []
    lost: list[int] = []
    for edge in edges:
        epoch, cursor = cursors.get(edge.lane, (0, 0))
        if (edge.epoch, edge.sequence) < (epoch, cursor):
            lost.append(edge.lane)
        else:
            gaps += _gaps(edge, settled=cursor if epoch == edge.epoch else 0)
    return gaps, lost


def _gaps(edge: LaneEdges, *, settled: int) -> list[Gap]:
    def gap(first: int, last: int, count: int | None = None) -> Gap:
        return Gap(
            lane=edge.lane,
            epoch=edge.epoch,
            first_sequence=first,
            last_sequence=last,
            count=last - first + 1 if count is None else count,
        )

    if not edge.entry_count:
        return [gap(settled + 1, edge.sequence)] if edge.sequence > settled else []
    found = []
    if edge.first_sequence > settled + 1:
        found.append(gap(settled + 1, edge.first_sequence - 1))
    if not edge.is_dense and edge.last_sequence > settled:
        spanned_count = edge.last_sequence - edge.first_sequence + 1
        found.append(gap(edge.first_sequence, edge.last_sequence, spanned_count - edge.entry_count))
    if edge.sequence > max(edge.last_sequence, settled):
        found.append(gap(max(edge.last_sequence, settled) + 1, edge.sequence))
    return found
