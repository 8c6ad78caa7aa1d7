"""The append step as bytes: what goes to `append.lua` and what its answer means. Used by every way of calling Redis."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from functools import cache
from hashlib import sha1
from importlib.resources import files
from uuid import UUID

from autocom.kernel import json_text
from autocom.kernel.clock import datetime_of
from autocom.kernel.digest import framed, sha256
from ingestion.buffer import keys
from ingestion.buffer.hop import append_macs, delivery_mac
from ingestion.doorbell import drain_job_fields
from ingestion.receipts import Receipt

ENTRY_BYTES = 120  # that Redis needs for an entry beside its texts; append.lua counts the same
WAKE_MS = 6_000  # a drain job that nobody starts within this time is rung again


@dataclass(frozen=True, slots=True)
class Script:
    """A Lua script and the name that Redis caches it under."""

    source: bytes
    sha: bytes


@cache
def script(name: str) -> Script:
    source = (files("ingestion.buffer") / "scripts" / f"{name}.lua").read_bytes()
    return Script(source=source, sha=sha1(source, usedforsecurity=False).hexdigest().encode())


class Code(Enum):
    """What became of one event at the append."""

    ACCEPTED = 0
    DUPLICATE = 1
    QUARANTINED = 2
    TOKEN_REUSED = 3  # in quarantine too: the token that proves it came with another event
    FULL = -1


@dataclass(frozen=True, slots=True, kw_only=True)
class EventToAppend:
    """One identified event, ready for its lane."""

    event_id: UUID
    lane: int
    identity: bytes
    content_sha256: bytes
    meta: bytes
    payload: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliveryToAppend:
    """One delivery with its events.

    `header` is JSON, `body` the raw body. Where the only event's payload is the body, both are empty and the event's
    meta has the headers: most deliveries are such, and then nothing is said twice.
    """

    request_id: UUID
    header: bytes
    body: bytes
    body_sha256: bytes
    events: Sequence[EventToAppend]
    dedupe_window_seconds: int
    token_sha256: bytes = b""  # of a token that may vouch for the one event here and for no other


@dataclass(frozen=True, slots=True)
class Appended:
    """The answer for one event.

    `receipt` for ACCEPTED and, the original one, for DUPLICATE; `queue` for FULL.
    """

    code: Code
    receipt: Receipt | None = None
    queue: LaneQueue | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class LaneQueue:
    """How far a full lane is from having room again, as Redis knows it."""

    excess_count: int  # entries above the mark at which refused senders are wanted back
    drained_per_second: float  # 0: not measured yet
    rest_us: int  # until the lane's next attempt; 0 where it does not rest

    @property
    def wait_seconds(self) -> float:
        """Until the lane is down to its mark; 0 where nothing is known."""
        drain_seconds = self.excess_count / self.drained_per_second if self.drained_per_second else 0.0
        return self.rest_us / 1e6 + drain_seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class AppendLimits:
    lane_bound_count: int
    lane_bound_bytes: int
    seen_bound_count: int


def append_args(
    delivery: DeliveryToAppend, *, limits: AppendLimits, hop_key: bytes, receipt_key_id: str
) -> list[bytes]:
    """The words of the EVALSHA for one delivery. Raises ValueError for a token that would vouch for several events."""
    lanes = list(dict.fromkeys(event.lane for event in delivery.events))
    position_of = {lane: b"%d" % (i + 1) for i, lane in enumerate(lanes)}
    job_ids = [b"drain-%d-%s" % (lane, delivery.request_id.hex.encode()) for lane in lanes]
    words = [keys.RQ_QUEUES, keys.rq_queue(keys.DRAIN_QUEUE), keys.SEEN_ORDER]
    for lane in lanes:
        words += _lane_keys(lane)
    words += [keys.rq_job(job_id) for job_id in job_ids]
    words += [keys.seen(event.identity) for event in delivery.events]
    if delivery.token_sha256:
        if len(delivery.events) != 1:
            raise ValueError(f"a single-use token vouches for one event, not {len(delivery.events)}")
        words.append(keys.token(delivery.token_sha256))
    key_count = len(words)
    delivery_blob = delivery.header + b"\n" + delivery.body if delivery.header else b""
    words += [
        b"%d" % len(lanes),
        b"%d" % len(delivery.events),
        b"%d" % limits.lane_bound_count,
        b"%d" % limits.lane_bound_bytes,
        b"%d" % WAKE_MS,
        delivery_blob,
        delivery_mac(hop_key, delivery_blob) if delivery_blob else b"",
        b"%d" % limits.seen_bound_count,
    ]
    for lane, job_id in zip(lanes, job_ids, strict=True):
        words += (job_id, _packed_job(lane))
    window = b"%d" % delivery.dedupe_window_seconds
    stem_tail = delivery.body_sha256 + receipt_key_id.encode()
    for event in delivery.events:
        words += (
            position_of[event.lane],
            event.meta,
            event.payload,
            append_macs(hop_key, lane=event.lane, meta=event.meta, payload_sha256=_payload_digest(delivery, event)),
            event.content_sha256,
            event.event_id.bytes + stem_tail + b"%d " % event.lane,
            window,
        )
    return [b"EVALSHA", script("append").sha, b"%d" % key_count, *words]


def _payload_digest(delivery: DeliveryToAppend, event: EventToAppend) -> bytes:
    return sha256(event.payload) if delivery.header else delivery.body_sha256  # without a header they are one text


@cache
def _packed_job(lane: int) -> bytes:
    """The drain job in one word: dozens of words would cost more on the way than the append itself."""
    return framed(drain_job_fields(lane))


@cache
def _lane_keys(lane: int) -> tuple[bytes, bytes, bytes]:
    return keys.stream(lane), keys.state(lane), keys.wake(lane)


def read_answers(
    delivery: DeliveryToAppend, answers: Sequence[Sequence[object]], *, receipt_key_id: str
) -> list[Appended]:
    """What became of each event, in the delivery's order."""
    return [
        _read(event, answer, delivery, receipt_key_id) for event, answer in zip(delivery.events, answers, strict=True)
    ]


def _read(event: EventToAppend, answer: Sequence[object], delivery: DeliveryToAppend, receipt_key_id: str) -> Appended:
    match answer:
        case [0, int(sequence), int(epoch), int(accepted_us)]:
            receipt = Receipt(
                event_id=event.event_id,
                lane=event.lane,
                epoch=epoch,
                sequence=sequence,
                body_sha256=delivery.body_sha256,
                accepted_us=accepted_us,
                key_id=receipt_key_id,
            )
            return Appended(Code.ACCEPTED, receipt)
        case [1, bytes(value)]:
            return Appended(Code.DUPLICATE, original_receipt(value))
        case [2, _]:
            return Appended(Code.QUARANTINED)
        case [3, _]:
            return Appended(Code.TOKEN_REUSED)
        case [-1, int(excess_count), int(drained_per_1000_s), int(rest_us)]:
            queue = LaneQueue(excess_count=excess_count, drained_per_second=drained_per_1000_s / 1_000, rest_us=rest_us)
            return Appended(Code.FULL, queue=queue)
    raise ValueError(f"append.lua answered {answer!r}")


def original_receipt(seen: bytes) -> Receipt:
    """The receipt inside a `seen` value.

    Content digest (32), event id (16), body digest (32), key id (8), then words.
    """
    lane, sequence, epoch, accepted_us = seen[88:].split(b" ")
    return Receipt(
        event_id=UUID(bytes=seen[32:48]),
        lane=int(lane),
        epoch=int(epoch),
        sequence=int(sequence),
        body_sha256=seen[48:80],
        accepted_us=int(accepted_us),
        key_id=seen[80:88].decode(),
    )


class EntryKind(Enum):
    EVENT = b"E"
    DUPLICATE = b"D"
    QUARANTINED = b"Q"
    REDRIVEN = b"R"  # stood aside before; its meta has the attempt


_KINDS = {kind.value: kind for kind in EntryKind}


@dataclass(frozen=True, slots=True, kw_only=True)
class LaneEntry:
    """One entry read from a lane, unparsed.

    `meta` is JSON text, `delivery` is JSON, a line end, and the raw body or nothing.
    """

    sequence: int
    kind: EntryKind
    accepted_us: int
    meta: bytes
    payload: bytes
    mac: bytes
    seen: bytes
    delivery: bytes
    delivery_mac: bytes

    @property
    def size_bytes(self) -> int:
        """What `append.lua` counted for it."""
        texts = (self.meta, self.payload, self.seen, self.delivery, self.delivery_mac)
        return sum(map(len, texts)) + ENTRY_BYTES

    @classmethod
    def read(cls, entry_id: bytes, fields: Mapping[bytes, bytes]) -> LaneEntry:
        """Never raises: an entry that `append.lua` did not write so must reach the dead letters, not stop its lane."""
        kind, accepted_us = _KINDS.get(fields.get(b"k", b"")), fields.get(b"t", b"")
        sequence = int(entry_id.partition(b"-")[0])
        if kind is None or not (accepted_us.isdigit() and len(accepted_us) < 17) or not fields.keys() >= {b"m", b"h"}:
            found = b"\n".join(name + b"=" + value for name, value in fields.items())
            return cls.foreign(sequence, found)
        return cls(
            sequence=sequence,
            kind=kind,
            accepted_us=int(accepted_us),
            meta=fields[b"m"],
            payload=fields.get(b"p", b""),
            mac=fields[b"h"],
            seen=fields.get(b"s", b""),
            delivery=fields.get(b"d", b""),
            delivery_mac=fields.get(b"g", b""),
        )

    @classmethod
    def foreign(cls, sequence: int, found: bytes) -> LaneEntry:
        """An entry of unknown make, whose empty MAC fits nothing."""
        return cls.made(EntryKind.EVENT, meta=b"", payload=found, mac=b"", sequence=sequence)

    @classmethod
    def made(cls, kind: EntryKind, *, meta: bytes, payload: bytes, mac: bytes, sequence: int = 0) -> LaneEntry:
        """An entry of these parts and nothing else."""
        return cls(
            sequence=sequence,
            kind=kind,
            accepted_us=0,
            meta=meta,
            payload=payload,
            mac=mac,
            seen=b"",
            delivery=b"",
            delivery_mac=b"",
        )


def delivery_header(
    *, request_id: UUID, provider: str, received_us: int, headers: Mapping[str, str], event_count: int
) -> bytes:
    """The JSON half of a delivery: enough, with the raw body, to verify its signature again."""
    return json_text.dumps(
        {
            "request_id": str(request_id),
            "provider": provider,
            "received_at": datetime_of(us=received_us).isoformat(),
            "headers": dict(headers),
            "events": event_count,
        }
    )
