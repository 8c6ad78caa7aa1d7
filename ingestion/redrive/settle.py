"""How an attempt ends: in the transaction of the batch that its entry came in, and once."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Self
from uuid import UUID

from django.db.models import QuerySet

from ingestion.dead_letters import Death
from ingestion.models import SetAsideAttempt, SetAsideState
from ingestion.poison import storable
from ingestion.redrive.place import SetAside
from ingestion.riding import Riding

IDENTITY_CONFLICT = "identity_conflict"

type AttemptName = tuple[SetAside, UUID, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Unstored:
    """A retry that stored nothing: it failed again, or without a `death` it was a duplicate of the `original`."""

    riding: Riding
    death: Death | None = None
    original: UUID | None = None

    @classmethod
    def beside(cls, riding: Riding, *, original: UUID, original_content: bytes) -> Self:
        """Its identity is held by a stored event."""
        if original_content == riding.content_sha256:
            return cls(riding=riding, original=original)
        why = f"its identity is held by {original}, which has other content"
        return cls(riding=riding, death=Death(error_class=IDENTITY_CONFLICT, error=why), original=original)

    @property
    def fate(self) -> str:
        return "retry_duplicate" if self.death is None else "retry_failed"


def attempt_name(riding: Riding) -> AttemptName | None:
    """None for what comes from a sender."""
    ticket = riding.ticket
    return None if ticket is None else (ticket.place, riding.event_id, ticket.number)


def attempts_under_way(names: Iterable[AttemptName]) -> set[AttemptName]:
    """Those of them that still wait for their end. Their rows are locked until the transaction is over.

    The others were settled by an earlier copy of their entry.
    """
    found: set[AttemptName] = set()
    for place, event_ids in _by_place((place, event_id) for place, event_id, _ in names).items():
        rows = place.model.objects.filter(pk__in=event_ids, state=SetAsideState.RETRYING).order_by("pk")
        locked = rows.select_for_update().values_list("pk", "attempt_count")
        found |= {(place, event_id, number) for event_id, number in locked}
    return found


def settle_stored(ridings: Sequence[Riding], *, batch_number: int, now: datetime) -> None:
    """Those of the batch's events that stood aside before are RETRIED."""
    names = filter(None, map(attempt_name, ridings))
    for place, event_ids in _by_place((place, event_id) for place, event_id, _ in names).items():
        _retrying(place, event_ids).update(state=SetAsideState.RETRIED, state_at=now)
        _under_way(place, event_ids).update(
            outcome=SetAsideAttempt.Outcome.STORED, settled_at=now, batch_number=batch_number
        )


def settle_unstored(unstored: Sequence[Unstored], *, now: datetime) -> None:
    """A failed one is open again with the new error; a duplicate is RETRIED, as its event is stored."""
    for each in unstored:
        if each.riding.ticket is None:
            continue
        place, event_ids = each.riding.ticket.place, [each.riding.event_id]
        row: dict[str, Any] = {"state": SetAsideState.RETRIED if each.death is None else SetAsideState.OPEN}
        attempt: dict[str, Any] = {"outcome": SetAsideAttempt.Outcome.DUPLICATE, "original_event_id": each.original}
        if each.death is not None:
            error = {"error_class": each.death.error_class, "error": storable(each.death.error)}
            attempt |= {"outcome": SetAsideAttempt.Outcome.FAILED, **error}
            if place is SetAside.DEAD_LETTER:
                row |= {**error, "fingerprint": each.death.fingerprint}
        _retrying(place, event_ids).update(state_at=now, **row)
        _under_way(place, event_ids).update(settled_at=now, **attempt)


def _by_place(pairs: Iterable[tuple[SetAside, UUID]]) -> dict[SetAside, list[UUID]]:
    grouped: dict[SetAside, list[UUID]] = defaultdict(list)
    for place, event_id in pairs:
        grouped[place].append(event_id)
    return grouped


def _retrying(place: SetAside, event_ids: Sequence[UUID]) -> QuerySet[Any]:
    return place.model.objects.filter(pk__in=event_ids, state=SetAsideState.RETRYING)


def _under_way(place: SetAside, event_ids: Sequence[UUID]) -> QuerySet[SetAsideAttempt]:
    """A row has one attempt under way at most."""
    return SetAsideAttempt.objects.filter(
        place=place, event_id__in=event_ids, outcome=SetAsideAttempt.Outcome.UNDER_WAY
    )
