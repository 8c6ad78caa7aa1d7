"""Every read of what stands aside, for pages and commands."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.db.models import Count, Max, Min, QuerySet

from ingestion.models import DeadLetter, SetAsideAttempt, SetAsideState
from ingestion.personal import marked_by
from ingestion.redrive.place import SetAside


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorGroup:
    """Dead letters that failed alike. `example` is the newest of them, and `error` is the example's, masked."""

    fingerprint: str
    error_class: str
    error: str
    count: int
    first_dead_at: datetime
    last_dead_at: datetime
    example: UUID


def error_groups(letters: QuerySet[DeadLetter] | None = None, *, limit_count: int = 100) -> Sequence[ErrorGroup]:
    """Groups of the letters (default: the open ones), largest first."""
    chosen = DeadLetter.objects.filter(state=SetAsideState.OPEN) if letters is None else letters
    groups = list(
        chosen.order_by()
        .values("fingerprint")
        .annotate(count=Count("pk"), first=Min("dead_at"), last=Max("dead_at"))
        .order_by("-count", "fingerprint")[:limit_count]
    )
    newest = chosen.filter(fingerprint__in=[group["fingerprint"] for group in groups]).defer("payload_bytes")
    examples = {row.fingerprint: row for row in newest.order_by("fingerprint", "-event_id").distinct("fingerprint")}
    return [
        ErrorGroup(
            fingerprint=group["fingerprint"],
            error_class=example.error_class,
            error=marked_by(example.recipe).error(example.error),
            count=group["count"],
            first_dead_at=group["first"],
            last_dead_at=group["last"],
            example=example.event_id,
        )
        for group in groups
        if (example := examples.get(group["fingerprint"]))
    ]


def counts_by_state(place: SetAside) -> dict[SetAsideState, int]:
    """Every state has its count."""
    rows = place.model.objects.order_by().values_list("state").annotate(count=Count("pk"))
    return dict.fromkeys(SetAsideState, 0) | {SetAsideState(state): count for state, count in rows}


def last_outcomes(place: SetAside, event_ids: Sequence[UUID]) -> Counter[SetAsideAttempt.Outcome]:
    """How the last attempt of each ended, or that it is under way."""
    tries = SetAsideAttempt.objects.filter(place=place, event_id__in=event_ids)
    last = tries.order_by("event_id", "-number").distinct("event_id").values_list("outcome", flat=True)
    return Counter(SetAsideAttempt.Outcome(outcome) for outcome in last)


def attempts_of(place: SetAside, event_id: UUID) -> QuerySet[SetAsideAttempt]:
    """The history, oldest first. Empty where nobody has asked for a retry yet: then the row itself says it all."""
    return SetAsideAttempt.objects.filter(place=place, event_id=event_id).order_by("number")
