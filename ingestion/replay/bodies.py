"""What a replay sends: a body with what is known of the event in it."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field

from ingestion.replay.history import ExpectedEvent


@dataclass(frozen=True, slots=True, kw_only=True)
class Body:
    """One webhook to send. The names are empty where a recorded body does not tell them in the default layout."""

    content: bytes
    message_id: str
    event_type: str
    ordering_key: str
    headers: Mapping[str, str] = field(default_factory=dict)
    query: str = ""  # of the URL it was posted to, without the question mark
    events: tuple[ExpectedEvent, ...] | None = None  # what the service will find in it; None where nobody knows
    is_poison: bool = False  # PostgreSQL cannot hold its payload

    @property
    def sha256_hex(self) -> str:
        return hashlib.sha256(self.content).hexdigest()
