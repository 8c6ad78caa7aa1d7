"""Deliveries put on lanes without HTTP.

Lanes as they look afterwards, and rows recomputed from what PostgreSQL holds.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from functools import cache
from uuid import UUID

from autocom.kernel.clock import SYSTEM_CLOCK, us_of
from autocom.kernel.digest import sha256
from autocom.kernel.ids import new_request_id
from autocom.kernel.merkle import leaf_hash, root_of_hashes
from ingestion.accept import append_limits, promise_keys
from ingestion.buffer import keys
from ingestion.buffer.append import (
    Appended,
    AppendLimits,
    DeliveryToAppend,
    LaneEntry,
    append_args,
    delivery_header,
    read_answers,
)
from ingestion.buffer.store import LaneBuffer
from ingestion.drain import Drainer, DrainPolicy, DrainReport
from ingestion.identify import event_to_append
from ingestion.lanes import lane_of
from ingestion.latency import LatencyRecorder
from ingestion.leaf import DEAD, QUARANTINED, REDRIVEN, STORED, leaf_line
from ingestion.models import Batch, DeadLetter, Event, QuarantinedEvent
from ingestion.providers.adapter import IdentifiedEvent
from ingestion.receipts import Receipt

LANES = 4  # as tests.support.servers sets it
RECIPE = "test/1"
PROMPT = DrainPolicy(
    gather=timedelta(0), linger=timedelta(0), turn=timedelta(minutes=1)
)  # neither gathers, lingers nor yields

type Fields = dict[bytes, bytes]


@cache
def key_on(lane: int, *, lanes: int = LANES) -> str:
    """An ordering key that rides this lane."""
    return next(key for key in map("key-{}".format, range(10_000)) if _rides(key, lane, lanes))


def _rides(key: str, lane: int, lanes: int) -> bool:
    return lane_of(provider="default", ordering_key=key, lane_count=lanes) == lane


def event(
    message_id: str = "evt-1",
    *,
    event_type: str = "delivered",
    lane: int = 0,
    key: str | None = None,
    payload: bytes | None = None,
    occurred_us: int | None = None,
) -> IdentifiedEvent:
    body = json.dumps({"id": message_id}).encode() if payload is None else payload
    return IdentifiedEvent(
        message_id=message_id,
        event_type=event_type,
        ordering_key=key_on(lane) if key is None else key,
        payload=body,
        identity_fields=(message_id, event_type),
        recipe=RECIPE,
        content_sha256=sha256(body),
        occurred_us=occurred_us,
    )


HEADERS = {"content-type": "application/json"}


def delivery(
    *events: IdentifiedEvent, body: bytes | None = None, window_seconds: int = 3_600, token_sha256: bytes = b""
) -> DeliveryToAppend:
    """One POST with these events. Without `body` a single event's payload is the whole body."""
    now_us = SYSTEM_CLOCK.now_us()
    request_id = new_request_id(now_us=now_us)
    raw = body if body is not None else b"\n".join(each.payload for each in events)
    body_is_payload = len(events) == 1 and events[0].payload == raw
    return DeliveryToAppend(
        request_id=request_id,
        header=b""
        if body_is_payload
        else delivery_header(
            request_id=request_id, provider="default", received_us=now_us, headers=HEADERS, event_count=len(events)
        ),
        body=b"" if body_is_payload else raw,
        body_sha256=sha256(raw),
        events=[
            event_to_append(
                each,
                provider="default",
                request_id=request_id,
                position=position,
                body_sha256=sha256(raw),
                received_us=now_us,
                lane_count=LANES,
                headers=HEADERS if body_is_payload else None,
            )
            for position, each in enumerate(events)
        ],
        dedupe_window_seconds=window_seconds,
        token_sha256=token_sha256,
    )


@dataclass(slots=True)
class LaneKit:
    """The lanes of one test. `drainer` works in this process."""

    buffer: LaneBuffer
    policy: DrainPolicy = PROMPT
    limits: AppendLimits | None = None
    recorder: LatencyRecorder = field(default_factory=lambda: LatencyRecorder(process="test"))

    def words(self, sent: DeliveryToAppend) -> list[bytes]:
        promise = promise_keys()
        return append_args(
            sent, limits=self.limits or append_limits(), hop_key=promise.hop, receipt_key_id=promise.receipt.id
        )

    def append(self, sent: DeliveryToAppend) -> list[Appended]:
        answers = self.buffer.append(self.words(sent))
        return read_answers(sent, answers, receipt_key_id=promise_keys().receipt.id)

    def receive(self, message_id: str = "evt-1", *, lane: int = 0, payload: bytes | None = None) -> Receipt:
        """One delivery of one event, which must be promised."""
        (appended,) = self.append(delivery(event(message_id, lane=lane, payload=payload)))
        assert appended.receipt is not None, appended
        return appended.receipt

    def receive_many(self, message_ids: Sequence[str], *, lane: int = 0) -> list[Receipt]:
        return [self.receive(message_id, lane=lane) for message_id in message_ids]

    def drainer(self, *, worker: str = "test", policy: DrainPolicy | None = None) -> Drainer:
        return Drainer(
            buffer=self.buffer, recorder=self.recorder, clock=SYSTEM_CLOCK, worker=worker, policy=policy or self.policy
        )

    def drain(self, lane: int = 0) -> DrainReport:
        return self.drainer().drain(lane, job_id="test")

    def waiting(self, lane: int = 0) -> list[LaneEntry]:
        return self.buffer.read(lane, limit_count=100_000)

    def jobs(self) -> list[str]:
        """Ids of the drain jobs on RQ's queue, oldest first."""
        found: list[bytes] = self.buffer.client.execute_command("LRANGE", keys.rq_queue(keys.DRAIN_QUEUE), 0, -1)
        return [word.decode() for word in found]

    def is_idle(self, lane: int = 0) -> bool:
        """Nothing waits, nobody holds it, nobody is called: the next append rings."""
        peek = self.buffer.peek(lane)
        return not (peek.depth_count or peek.holder or peek.is_due or peek.size_bytes)

    def let_lease_expire(self, lane: int = 0) -> None:
        self.buffer.client.delete(keys.lease(lane), keys.wake(lane))

    def rewrite(self, lane: int, change: Callable[[int, Fields], Fields]) -> None:
        """The lane's stream as somebody with access to Redis would leave it."""
        entries = self.raw(lane)
        self.buffer.client.delete(keys.stream(lane))
        for entry_id, fields in entries:
            changed = change(int(entry_id.partition(b"-")[0]), fields)
            words = [word for pair in changed.items() for word in pair]
            self.buffer.client.execute_command("XADD", keys.stream(lane), entry_id, *words)

    def raw(self, lane: int = 0) -> list[tuple[bytes, Fields]]:
        """The lane's entries as Redis has them."""
        found: list[tuple[bytes, Fields]] = self.buffer.client.execute_command("XRANGE", keys.stream(lane), "-", "+")
        return found


def committed(lane: int = 0) -> list[str]:
    """Message ids of the lane's events in commit order."""
    rows = Event.objects.filter(lane=lane).order_by("batch_id", "epoch", "sequence")
    return list(rows.values_list("message_id", flat=True))


def buried(lane: int = 0) -> list[str]:
    return list(DeadLetter.objects.filter(lane=lane).order_by("sequence").values_list("message_id", flat=True))


def leaf_of_row(row: Event | DeadLetter | QuarantinedEvent) -> bytes:
    """The row's leaf line, from nothing but the row."""
    event_id: UUID = row.id if isinstance(row, Event) else row.event_id
    if isinstance(row, Event):
        kind = STORED if row.redriven_at is None else REDRIVEN
    else:
        kind = DEAD if isinstance(row, DeadLetter) else QUARANTINED
    return leaf_line(
        kind=kind,
        provider=row.provider,
        message_id=row.message_id,
        event_type=row.event_type,
        ordering_key=row.ordering_key,
        lane=row.lane,
        epoch=row.epoch,
        sequence=row.sequence,
        accepted_us=us_of(row.accepted_at),
        body_sha256=bytes(row.body_sha256),
        content_sha256=bytes(row.content_sha256),
        event_id=event_id,
    )


def root_of_rows(batch: Batch) -> bytes:
    """The batch's Merkle root as an auditor computes it: from the rows that name the batch, in sequence order."""
    rows: list[Event | DeadLetter | QuarantinedEvent] = [
        *Event.objects.filter(batch=batch),
        *DeadLetter.objects.filter(batch=batch),
        *QuarantinedEvent.objects.filter(batch=batch, batch__leaf_format__gt=1),
    ]
    rows.sort(key=lambda row: row.sequence)
    return root_of_hashes([leaf_hash(leaf_of_row(row)) for row in rows])


def assert_every_batch_is_proved() -> None:
    """Each batch's counts and root are those of its rows."""
    for batch in Batch.objects.all():
        assert bytes(batch.merkle_root) == root_of_rows(batch), batch
        assert batch.event_count == Event.objects.filter(batch=batch).count(), batch
        assert batch.dead_count == DeadLetter.objects.filter(batch=batch).count(), batch
        assert batch.quarantined_count == batch.quarantined.count(), batch
