"""What a commit tells of each delivery, for those who make traces of it. Nobody listens unless somebody asked to."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

from autocom.kernel.ids import request_id_of
from ingestion.riding import Riding

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class CommittedDelivery:
    """The part of one delivery that one batch committed. `accepted_us` is its first event's; `sender_trace` is the
    sender's own word (W3C traceparent) or empty.

    No ids, types, keys or contents of the sender: they may be personal.
    """

    request_id: UUID
    provider: str
    lane: int
    epoch: int
    first_sequence: int
    event_count: int
    batch: int
    worker: str
    received_us: int
    accepted_us: int
    claimed_us: int
    committed_us: int
    sender_trace: str


type Listener = Callable[[Sequence[CommittedDelivery]], None]
LISTENERS: list[Listener] = []


def tell_of_commit(
    stored: Iterable[Riding],
    *,
    batch: int,
    worker: str,
    claimed_us: int,
    committed_us: int,
    sender_traces: Mapping[UUID, str],
) -> None:
    """After the commit and the trim: whatever a listener does, the events are safe. Retries are left out, as their
    clock started days ago."""
    if not LISTENERS:
        return
    parts: dict[UUID, list[Riding]] = {}
    for riding in stored:
        if riding.ticket is None:
            parts.setdefault(request_id_of(riding.event_id), []).append(riding)
    told = [
        CommittedDelivery(
            request_id=request_id,
            provider=ridings[0].provider,
            lane=ridings[0].lane,
            epoch=ridings[0].epoch,
            first_sequence=ridings[0].sequence,
            event_count=len(ridings),
            batch=batch,
            worker=worker,
            received_us=ridings[0].received_us,
            accepted_us=ridings[0].accepted_us,
            claimed_us=claimed_us,
            committed_us=committed_us,
            sender_trace=sender_traces.get(request_id, ""),
        )
        for request_id, ridings in parts.items()
    ]
    for listener in LISTENERS:
        try:
            listener(told)
        except Exception:
            log.exception("commit_not_told")
