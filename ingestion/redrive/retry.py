"""Asks for another try."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from ingestion.redrive.forecast import Forecast
from ingestion.redrive.place import SetAside


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
    raise NotImplementedError
