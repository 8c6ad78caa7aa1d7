"""Dead letters that are none, retried as an operator does it."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest
from django.db import transaction

from ingestion.receipts import Receipt
from ingestion.redrive.place import SetAside
from ingestion.redrive.retry import RetryRequest, request_retry
from ingestion.redrive.selectors import attempts_of
from tests.support.lanes import LaneKit, delivery, event

LETTER, QUARANTINE = SetAside.DEAD_LETTER, SetAside.QUARANTINE


def retry(*event_ids: UUID, place: SetAside = LETTER) -> RetryRequest:
    with transaction.atomic():
        return request_retry(place, event_ids)


def dead(
    lanes: LaneKit, monkeypatch: pytest.MonkeyPatch, *message_ids: str, why: str = "a bug of ours", **parts: Any
) -> list[Receipt]:
    """Storable events that an earlier version took for poison."""
    receipts = []
    for message_id in message_ids:
        (appended,) = lanes.append(delivery(event(message_id, **parts)))
        assert appended.receipt is not None
        receipts.append(appended.receipt)
    with monkeypatch.context() as patched:
        patched.setattr("ingestion.commit.why_unstorable", lambda _payload: why)
        lanes.drain()
    return receipts


def outcomes(event_id: UUID, *, place: SetAside = LETTER) -> list[str]:
    return list(attempts_of(place, event_id).values_list("outcome", flat=True))
