"""Asks for another try."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.db import connection
from django.db.models import F
from django.db.transaction import TransactionManagementError

from autocom.kernel.clock import SYSTEM_CLOCK, datetime_of
from ingestion.models import DeadLetter, SetAsideAttempt, SetAsideFields, SetAsideState
from ingestion.redrive.forecast import Forecast, forecasts
from ingestion.redrive.place import SetAside
from ingestion.redrive.send import send_on_commit
from ingestion.redrive.settle import IDENTITY_CONFLICT


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryRequest:
    """`requested` are RETRYING once the transaction commits; `refused` are as they were, each with the reason.

    A lane that is full by then refuses too: the row is open again at once, and its last attempt says `lane_full`.
    """

    requested: tuple[UUID, ...]
    refused: tuple[Forecast, ...]


def request_retry(place: SetAside, event_ids: Sequence[UUID]) -> RetryRequest:
    """Marks those that may be sent again as RETRYING; they go to their lanes when the caller's transaction commits.

    Locks the rows until then. Raises TransactionManagementError outside a transaction.
    """
    if not connection.in_atomic_block:
        raise TransactionManagementError("request_retry belongs into transaction.atomic(), beside its audit entry")
    wanted = list(dict.fromkeys(event_ids))
    rows = place.model.objects.filter(pk__in=wanted).order_by("pk").select_for_update().defer("payload_bytes")
    locked = {row.event_id: row for row in rows}
    told = forecasts(place, wanted)  # under the lock: what it says of each state stays so
    requested = tuple(forecast.event_id for forecast in told if forecast.will_be_sent)
    _mark(place, [locked[event_id] for event_id in requested], now=datetime_of(us=SYSTEM_CLOCK.now_us()))
    if requested:
        send_on_commit(place, requested)
    return RetryRequest(requested=requested, refused=tuple(forecast for forecast in told if not forecast.will_be_sent))


def _mark(place: SetAside, rows: Sequence[SetAsideFields], *, now: datetime) -> None:
    place.model.objects.filter(pk__in=[row.event_id for row in rows]).update(
        state=SetAsideState.RETRYING, state_at=now, attempt_count=F("attempt_count") + 1
    )
    SetAsideAttempt.objects.bulk_create(_first_attempts(place, rows), ignore_conflicts=True)
    SetAsideAttempt.objects.bulk_create(
        SetAsideAttempt(place=place, event_id=row.event_id, number=row.attempt_count + 1, asked_at=now) for row in rows
    )


def _first_attempts(place: SetAside, rows: Sequence[SetAsideFields]) -> Iterator[SetAsideAttempt]:
    """The try that set each aside, written down before a retry puts another error in its place."""
    for row in rows:
        if row.attempt_count > 1:
            continue
        is_letter = isinstance(row, DeadLetter)
        yield SetAsideAttempt(
            place=place,
            event_id=row.event_id,
            number=row.attempt_count,
            asked_at=row.accepted_at,
            outcome=SetAsideAttempt.Outcome.FAILED,
            settled_at=row.dead_at if is_letter else None,
            error_class=row.error_class if is_letter else IDENTITY_CONFLICT,
            error=row.error if is_letter else "its identity had come before with other content",
            original_event_id=None if is_letter else getattr(row, "original_event_id", None),
            lane=row.lane,
            epoch=row.epoch,
            sequence=row.sequence,
            batch_number=getattr(row, "batch_id", None),
        )
