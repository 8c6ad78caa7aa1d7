"""An event as read from its lane, and the rows it can become."""

from __future__ import annotations

import json
from dataclasses import dataclass
from uuid import UUID

from autocom.kernel.clock import datetime_of
from ingestion.buffer.append import LaneEntry
from ingestion.models import Batch, Event, QuarantinedEvent, SuppressedDuplicate


@dataclass(slots=True, kw_only=True)
class Riding:
    """What one lane entry says. Where its meta cannot be read, `is_unreadable` and only place and bytes are known."""

    lane: int
    epoch: int
    sequence: int
    accepted_us: int
    payload: bytes
    event_id: UUID
    provider: str
    message_id: str
    event_type: str
    ordering_key: str
    identity: bytes
    recipe: str
    body_sha256: bytes
    content_sha256: bytes
    received_us: int
    occurred_us: int | None
    kind: str
    is_unreadable: bool = False

    @property
    def why_unstorable(self) -> str | None:
        """The texts that stand in columns of their own come from headers too, so the payload's check does not cover them."""
        for text in (self.message_id, self.event_type, self.ordering_key):
            if "\x00" in text:
                return "an id, type or key has a NUL character"
            if not text.isascii():
                try:
                    text.encode()
                except UnicodeEncodeError:
                    return "an id, type or key has a lone surrogate"
        return None

    def as_event(self, batch: Batch) -> Event:
        return Event(
            id=self.event_id,
            occurred_at=None if self.occurred_us is None else datetime_of(us=self.occurred_us),
            kind=self.kind,
            payload=self.payload.decode(),
            batch=batch,
            **self.common(),
        )

    def as_duplicate(self, *, original: UUID, late: bool) -> SuppressedDuplicate:
        return SuppressedDuplicate(
            event_id=self.event_id,
            original_event_id=original,
            provider=self.provider,
            message_id=self.message_id,
            event_type=self.event_type,
            received_at=datetime_of(us=self.received_us),
            late=late,
        )

    def as_quarantined(self, batch: Batch, *, original: UUID | None, original_content: bytes | None) -> QuarantinedEvent:
        return QuarantinedEvent(
            event_id=self.event_id,
            original_event_id=original,
            original_content_sha256=original_content,
            payload_bytes=self.payload,
            batch=batch,
            **self.common(),
        )

    def common(self) -> dict[str, object]:
        return {
            "provider": self.provider,
            "message_id": self.message_id,
            "event_type": self.event_type,
            "ordering_key": self.ordering_key,
            "identity": self.identity,
            "recipe": self.recipe,
            "lane": self.lane,
            "epoch": self.epoch,
            "sequence": self.sequence,
            "body_sha256": self.body_sha256,
            "content_sha256": self.content_sha256,
            "received_at": datetime_of(us=self.received_us),
            "accepted_at": datetime_of(us=self.accepted_us),
        }


def read_riding(entry: LaneEntry, *, lane: int, epoch: int) -> Riding:
    """Never raises: an entry that somebody changed in Redis still needs a dead letter with its bytes."""
    try:
        meta = json.loads(entry.meta)
        return Riding(
            lane=lane,
            epoch=epoch,
            sequence=entry.sequence,
            accepted_us=entry.accepted_us,
            payload=entry.payload,
            event_id=UUID(hex=meta["id"]),
            provider=meta["provider"],
            message_id=meta["message_id"],
            event_type=meta["type"],
            ordering_key=meta["key"],
            identity=bytes.fromhex(meta["identity"]),
            recipe=meta["recipe"],
            body_sha256=bytes.fromhex(meta["body"]),
            content_sha256=bytes.fromhex(meta["content"]),
            received_us=meta["received_us"],
            occurred_us=meta["occurred_us"],
            kind=meta["kind"],
        )
    except (ValueError, KeyError, TypeError, AttributeError):
        return _unreadable(entry, lane=lane, epoch=epoch)


def _unreadable(entry: LaneEntry, *, lane: int, epoch: int) -> Riding:
    # an id that is made of the place, so that a repeat finds its own dead letter
    return Riding(
        lane=lane,
        epoch=epoch,
        sequence=entry.sequence,
        accepted_us=entry.accepted_us,
        payload=entry.meta + b"\n" + entry.payload,
        event_id=UUID(int=(epoch << 64 | lane << 48 | entry.sequence) & ((1 << 128) - 1)),
        provider="unknown",
        message_id="",
        event_type="",
        ordering_key="",
        identity=b"",
        recipe="",
        body_sha256=b"",
        content_sha256=b"",
        received_us=entry.accepted_us,
        occurred_us=None,
        kind="other",
        is_unreadable=True,
    )
