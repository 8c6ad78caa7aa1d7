"""An event as read from its lane, and the rows it can become."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any
from uuid import UUID

from autocom.kernel import json_text
from autocom.kernel.clock import datetime_of
from ingestion.buffer.append import EntryKind, LaneEntry
from ingestion.bulk_insert import raw_json
from ingestion.models import Batch, QuarantinedEvent, SuppressedDuplicate
from ingestion.poison import storable
from ingestion.redrive.ticket import Ticket

LATEST_US = 253_402_300_800_000_000  # year 10000: no datetime reaches it


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
    headers: dict[str, str] | None = None  # of the delivery, where this event is all of it
    is_unreadable: bool = False
    ticket: Ticket | None = None  # of the attempt, where it stood aside before

    @property
    def occurred_at(self) -> datetime | None:
        return None if self.occurred_us is None else datetime_of(us=self.occurred_us)

    @property
    def why_unstorable(self) -> str | None:
        """The texts that stand in columns of their own come from headers too.

        So the payload's check does not cover them.
        """
        for text in (self.message_id, self.event_type, self.ordering_key):
            if "\x00" in text:
                return "an id, type or key has a NUL character"
            if not text.isascii():
                try:
                    text.encode()
                except UnicodeEncodeError:
                    return "an id, type or key has a lone surrogate"
        return None

    def storable(self) -> Riding:
        """With texts that PostgreSQL can hold, for rows other than an event's.

        Those are written whatever the sender put there.
        """
        return replace(
            self,
            provider=storable(self.provider),
            message_id=storable(self.message_id),
            event_type=storable(self.event_type),
            ordering_key=storable(self.ordering_key),
        )

    def as_event_row(self, batch_number: int) -> dict[str, Any]:
        """The columns of an Event, for `bulk_insert`: two more where it stood aside before."""
        row = {
            "id": self.event_id,
            "occurred_at": self.occurred_at,
            "kind": self.kind,
            "payload": raw_json(self.payload),
            "batch_id": batch_number,
            **self.common(),
        }
        if self.ticket is not None:
            row["redriven_at"] = datetime_of(us=self.ticket.asked_us)
            row["redriven_from_sequence"] = self.ticket.from_sequence
        return row

    def as_set_aside(self) -> dict[str, Any]:
        """What a dead letter and a quarantined event have in common. Texts that PostgreSQL cannot hold are written
        visibly, and then it is not whole: nobody could tell them back from what was sent."""
        storable_self = self.storable()
        return {
            "event_id": self.event_id,
            "occurred_at": self.occurred_at,
            "kind": self.kind,
            "payload_bytes": self.payload,
            "is_whole": storable_self == self,
            **storable_self.common(),
        }

    def as_duplicate(self, *, original: UUID, late: bool) -> SuppressedDuplicate:
        return SuppressedDuplicate(
            event_id=self.event_id,
            original_event_id=original,
            provider=storable(self.provider),
            message_id=storable(self.message_id),
            event_type=storable(self.event_type),
            received_at=datetime_of(us=self.received_us),
            late=late,
        )

    def as_quarantined(
        self, batch: Batch, *, original: UUID | None, original_content: bytes | None
    ) -> QuarantinedEvent:
        return QuarantinedEvent(
            original_event_id=original,
            original_content_sha256=original_content,
            batch=batch,
            **self.as_set_aside(),
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
        meta = json_text.loads(entry.meta)
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
            headers=meta.get("headers"),
            ticket=Ticket.read(meta.get("redrive")),
        )
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return _unreadable(entry, lane=lane, epoch=epoch)


def read_doubtful_riding(entry: LaneEntry, *, lane: int, epoch: int) -> Riding:
    """As `read_riding`, for an entry whose MAC does not fit or does not cover it.

    What no column could hold is unreadable too, and so is a retry: its id is taken by the letter that it was made of,
    which has the bytes and is sent again.
    """
    riding = read_riding(entry, lane=lane, epoch=epoch)
    is_retry = riding.ticket is not None or entry.kind is EntryKind.REDRIVEN
    return _unreadable(entry, lane=lane, epoch=epoch) if is_retry or not _fits_its_columns(riding) else riding


def _fits_its_columns(riding: Riding) -> bool:
    # object: what somebody wrote into Redis has whatever type it likes
    texts: tuple[tuple[object, int], ...] = (
        (riding.provider, 64),
        (riding.message_id, 1_024),
        (riding.event_type, 1_024),
        (riding.ordering_key, 1_024),
        (riding.recipe, 24),
        (riding.kind, 16),
    )
    times: tuple[object, ...] = (riding.accepted_us, riding.received_us, riding.occurred_us or 0)
    return all(isinstance(text, str) and len(text) <= limit for text, limit in texts) and all(
        isinstance(time_us, int) and 0 <= time_us < LATEST_US for time_us in times
    )


def id_of_place(*, lane: int, epoch: int, sequence: int) -> UUID:
    """The id of what cannot be read: made of its place, so that a repeat finds its own dead letter."""
    return UUID(int=(epoch << 64 | lane << 48 | sequence) & ((1 << 128) - 1))


def _unreadable(entry: LaneEntry, *, lane: int, epoch: int) -> Riding:
    return Riding(
        lane=lane,
        epoch=epoch,
        sequence=entry.sequence,
        accepted_us=entry.accepted_us,
        payload=entry.meta + b"\n" + entry.payload,
        event_id=id_of_place(lane=lane, epoch=epoch, sequence=entry.sequence),
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
