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
from ingestion.models import DeadLetter, QuarantinedEvent, SetAsideAttempt, SetAsideState
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
    locked = _locked(place, wanted)
    told = forecasts(place, wanted)  # under the lock: what it says of each state stays so
    requested = tuple(forecast.event_id for forecast in told if forecast.will_be_sent)
    _mark(place, [locked[event_id] for event_id in requested], now=datetime_of(us=SYSTEM_CLOCK.now_us()))
    if requested:
        send_on_commit(place, requested)
    return RetryRequest(requested=requested, refused=tuple(forecast for forecast in told if not forecast.will_be_sent))


def _locked(place: SetAside, event_ids: Sequence[UUID]) -> dict[UUID, DeadLetter | QuarantinedEvent]:
    rows = place.model._default_manager.filter(pk__in=event_ids).order_by("pk").defer("payload_bytes")
    return {row.event_id: row for row in rows.select_related("batch").select_for_update(of=("self",))}


def _mark(place: SetAside, rows: Sequence[DeadLetter | QuarantinedEvent], *, now: datetime) -> None:
    place.model.objects.filter(pk__in=[row.event_id for row in rows]).update(
        state=SetAsideState.RETRYING, state_at=now, attempt_count=F("attempt_count") + 1
    )
    SetAsideAttempt.objects.bulk_create(_first_attempts(rows), ignore_conflicts=True)
    SetAsideAttempt.objects.bulk_create(
        SetAsideAttempt(place=place, event_id=row.event_id, number=row.attempt_count + 1, asked_at=now) for row in rows
    )


def _first_attempts(rows: Sequence[DeadLetter | QuarantinedEvent]) -> Iterator[SetAsideAttempt]:
    """The try that set each aside, written down before a retry puts another error in its place."""
    for row in rows:
        if row.attempt_count == 1:
            attempt = _of_letter(row) if isinstance(row, DeadLetter) else _of_quarantined(row)
            attempt.event_id, attempt.number, attempt.asked_at = row.event_id, 1, row.accepted_at
            attempt.lane, attempt.epoch, attempt.sequence = row.lane, row.epoch, row.sequence
            attempt.outcome, attempt.batch_number = SetAsideAttempt.Outcome.FAILED, row.batch_id
            yield attempt


def _of_letter(row: DeadLetter) -> SetAsideAttempt:
    return SetAsideAttempt(
        place=SetAside.DEAD_LETTER, settled_at=row.dead_at, error_class=row.error_class, error=row.error
    )


def _of_quarantined(row: QuarantinedEvent) -> SetAsideAttempt:
    return SetAsideAttempt(
        place=SetAside.QUARANTINE,
        settled_at=row.batch.committed_at,
        error_class=IDENTITY_CONFLICT,
        error="its identity had come before with other content",
        original_event_id=row.original_event_id,
    )
