"""Every read of what stands aside, for pages and commands."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.db.models import QuerySet

from ingestion.models import DeadLetter, SetAsideAttempt, SetAsideState
from ingestion.redrive.place import SetAside


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorGroup:
    """Dead letters that failed alike. `example` is the newest of them, and `error` is the example's."""

    fingerprint: str
    error_class: str
    error: str
    count: int
    first_dead_at: datetime
    last_dead_at: datetime
    example: UUID


def error_groups(letters: QuerySet[DeadLetter] | None = None, *, limit_count: int = 100) -> Sequence[ErrorGroup]:
    """Groups of the letters (default: the open ones), largest first."""
    raise NotImplementedError


def counts_by_state(place: SetAside) -> dict[SetAsideState, int]:
    """Every state has its count."""
    raise NotImplementedError


def attempts_of(place: SetAside, event_id: UUID) -> QuerySet[SetAsideAttempt]:
    """The history, oldest first. Empty where nobody has asked for a retry yet: then the row itself says it all."""
    raise NotImplementedError
