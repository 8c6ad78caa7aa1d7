"""The audit log's chain: its canonical bytes, and what is wrong with a log. Pure: from rows or from exported lines."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from autocom.kernel.canonical_json import canonical_json

GENESIS_SHA256 = bytes(32)  # what the first entry names as the one before
FORMAT = "autocom-audit/1"


@dataclass(frozen=True, slots=True, kw_only=True)
class ChainEntry:
    """One entry as it is hashed. `entry_sha256` is what is kept beside it, to be compared."""

    number: int
    at: datetime
    act: str
    actor_kind: str
    actor: str
    subject: str
    reason: str
    facts: Mapping[str, object]
    previous_sha256: bytes
    entry_sha256: bytes


@dataclass(frozen=True, slots=True)
class ChainHead:
    """The newest entry, as it is kept apart from the entries. Number 0: none yet."""

    number: int
    entry_sha256: bytes


def canonical_entry(entry: ChainEntry) -> bytes:
    """What `entry_sha256` is the SHA-256 of. Raises NotCanonical."""
    return canonical_json(entry_object(entry))


def entry_object(entry: ChainEntry) -> dict[str, object]:
    return {
        "act": entry.act,
        "actor": entry.actor,
        "actor_kind": entry.actor_kind,
        "at": entry.at.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z"),
        "facts": entry.facts,
        "format": FORMAT,
        "number": entry.number,
        "previous_sha256": entry.previous_sha256.hex(),
        "reason": entry.reason,
        "subject": entry.subject,
    }
