"""What an entry says of the attempt that it is. It stands in the entry's meta, under the hop MAC."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

from ingestion.redrive.place import SetAside


@dataclass(frozen=True, slots=True, kw_only=True)
class Ticket:
    """`number` is the attempt's, `from_sequence` where the event stood when it was accepted."""

    place: SetAside
    number: int
    asked_us: int
    from_sequence: int

    def as_json(self) -> dict[str, Any]:
        return {
            "place": self.place.value,
            "number": self.number,
            "asked_us": self.asked_us,
            "from": self.from_sequence,
        }

    @classmethod
    def read(cls, value: Any) -> Self | None:
        """None for an entry that comes from a sender. Raises ValueError, KeyError, TypeError."""
        if value is None:
            return None
        return cls(
            place=SetAside(value["place"]),
            number=value["number"],
            asked_us=value["asked_us"],
            from_sequence=value["from"],
        )
