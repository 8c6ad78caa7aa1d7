"""Gives an event up that stands aside. Its row and bytes stay until retention takes them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from ingestion.redrive.forecast import Forecast
from ingestion.redrive.place import SetAside

REASON_LIMIT_CHARS = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class DiscardResult:
    discarded: tuple[UUID, ...]
    refused: tuple[Forecast, ...]  # NOT_OPEN or UNKNOWN_ID


def discard(place: SetAside, event_ids: Sequence[UUID], *, reason: str) -> DiscardResult:
    """Open ones are DISCARDED, with the reason and the time; the others are as they were.

    Raises ValueError for a reason that is empty or too long.
    """
    raise NotImplementedError
