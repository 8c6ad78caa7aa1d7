"""Keys for events of providers that number messages but not events, made without showing anybody's address."""

from __future__ import annotations

import json
from collections.abc import Sequence

from autocom.kernel.digest import framed, sha256
from ingestion.providers.adapter import IdentifiedEvent

KEY_DIGITS_COUNT = 16  # 64 bits: the recipients or events of one message, never of all messages


def recipient_key(address: str) -> str:
    """Names a recipient in an ordering key, where no masking reaches, without telling the address."""
    return sha256(address.lower().encode("utf-8", "surrogatepass")).hex()[:KEY_DIGITS_COUNT] if address else ""


def event_message_id(base: str, *, fields: Sequence[str]) -> str:
    """`base` and a digest of the identity fields: one id for one event, found by the provider's own id as its start."""
    digest = sha256(framed(part.encode("utf-8", "surrogatepass") for part in fields)).hex()[:KEY_DIGITS_COUNT]
    return f"{base}#{digest}" if base else f"#{digest}"


def content_digest(value: object) -> bytes:
    """SHA-256 of a JSON value whatever the order of its keys. Raises RecursionError for a value nested too deep."""
    return sha256(json.dumps(value, sort_keys=True, separators=(",", ":")).encode())


def unreadable_event(text: bytes, *, recipe: str) -> IdentifiedEvent:
    """What is nested deeper than a parser goes: kept as it came, so that the drain can make a dead letter of it."""
    digest = sha256(text)
    message_id = f"sha256:{digest.hex()}"
    return IdentifiedEvent(
        message_id=message_id,
        event_type="unreadable",
        ordering_key=message_id,
        payload=text,
        identity_fields=("unreadable", digest.hex()),
        recipe=recipe,
        content_sha256=digest,
    )
