"""What a replay sends: a body with what is known of the event in it."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class Body:
    """One webhook to send. The names are empty where a recorded body does not tell them in the default layout."""

    content: bytes
    message_id: str
    event_type: str
    ordering_key: str
    headers: Mapping[str, str] = field(default_factory=dict)

    @property
    def sha256_hex(self) -> str:
        return hashlib.sha256(self.content).hexdigest()
