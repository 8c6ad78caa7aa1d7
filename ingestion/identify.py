"""What makes two events the same: the identity of each event of a delivery, and what is recorded of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from uuid import UUID

from autocom.kernel import json_text
from autocom.kernel.digest import framed, sha256
from autocom.kernel.ids import event_id
from ingestion.buffer.append import EventToAppend
from ingestion.lanes import lane_of
from ingestion.providers.adapter import IdentifiedEvent

TEXT_LIMIT_BYTES = (
    1_024  # of message id, type and ordering key: PostgreSQL cannot index a key of 2.7 kB, and two of them share one
)
TEXT_START_CHARS = 200

YEAR_10000_US = 253_402_300_800_000_000


def identity_of(*, provider: str, recipe: str, fields: Sequence[str]) -> bytes:
    """SHA-256 over provider.

    Recipe and the recipe's fields, each framed by its length so that no two lists run together.
    """
    return sha256(framed(part.encode("utf-8", "surrogatepass") for part in (provider, recipe, *fields)))


def token_digest(token: str, *, provider: str) -> bytes:
    """Names a single-use token in Redis; empty for none."""
    return sha256(framed((provider.encode(), token.encode()))) if token else b""


def short(text: str) -> str:
    """The text, or, when it is too long to index, its start and its digest: still different for different texts."""
    if len(text) * 4 <= TEXT_LIMIT_BYTES:  # no character has more than 4 bytes
        return text
    encoded = text.encode("utf-8", "surrogatepass")
    if len(encoded) <= TEXT_LIMIT_BYTES:
        return text
    return f"{text[:TEXT_START_CHARS]}…sha256:{sha256(encoded).hex()}"


def plausible_us(occurred_us: int | None) -> int | None:
    """None for a time that no calendar holds: senders write anything there."""
    return occurred_us if occurred_us is not None and 0 <= occurred_us < YEAR_10000_US else None


def event_to_append(
    event: IdentifiedEvent,
    *,
    provider: str,
    request_id: UUID,
    position: int,
    body_sha256: bytes,
    received_us: int,
    lane_count: int,
    headers: Mapping[str, str] | None,
) -> EventToAppend:
    """The event as it rides its lane. `meta` is all that the commit needs besides the payload.

    `headers` are the delivery's signed ones, where this event is all of it; else None.
    """
    identity = identity_of(provider=provider, recipe=event.recipe, fields=event.identity_fields)
    this_id = event_id(request_id, position=position)
    ordering_key = short(event.ordering_key)
    meta: dict[str, object] = {
        "id": this_id.hex,
        "provider": provider,
        "message_id": short(event.message_id),
        "type": short(event.event_type),
        "key": ordering_key,
        "identity": identity.hex(),
        "recipe": event.recipe,
        "body": body_sha256.hex(),
        "content": event.content_sha256.hex(),
        "received_us": received_us,
        "occurred_us": plausible_us(event.occurred_us),
        "kind": event.kind.value,
    }
    if headers is not None:
        meta["headers"] = headers
    return EventToAppend(
        event_id=this_id,
        lane=lane_of(provider=provider, ordering_key=ordering_key, lane_count=lane_count),
        identity=identity,
        content_sha256=event.content_sha256,
        meta=json_text.dumps(meta),
        payload=event.payload,
    )
