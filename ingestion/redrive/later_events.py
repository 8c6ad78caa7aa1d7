"""Which events of the same key are committed already that came after one that stands aside."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Self
from uuid import UUID

from django.db import connection

from autocom.kernel.clock import us_of
from ingestion.models import SetAsideFields

LATER_LIMIT_COUNT = 1_000  # counted no further: a key may have millions
# an event received that much earlier may still have been accepted later: a slow body, a full lane
RECEIVED_EARLIER_AT_MOST = timedelta(seconds=60)

# Accepted later, by Redis's clock, as sequences of two epochs or lanes cannot be compared. An event that was itself
# retried was accepted anew: its id still has the time of its first receipt, which is what order is about.
LATER_EVENTS = """
SELECT aside.id, later.total, later.newest
FROM unnest(%s::uuid[], %s::uuid[], %s::text[], %s::text[], %s::timestamptz[], %s::bigint[])
  AS aside(id, first_id, provider, ordering_key, accepted_at, sequence)
CROSS JOIN LATERAL (
  SELECT count(*) AS total,
    (array_agg(found.sequence ORDER BY found.accepted_at DESC, found.sequence DESC))[1] AS newest
  FROM (
    SELECT event.sequence, event.accepted_at
    FROM ingestion_event AS event
    WHERE event.ordering_key = aside.ordering_key AND event.id >= aside.first_id AND event.provider = aside.provider
      AND CASE WHEN event.redriven_at IS NULL
        THEN (event.accepted_at, event.sequence) > (aside.accepted_at, aside.sequence)
        ELSE event.id > aside.id END
    ORDER BY event.id DESC LIMIT %s
  ) AS found
) AS later
WHERE later.total > 0
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Aside:
    """Where an event stood in the order of its key."""

    event_id: UUID
    provider: str
    ordering_key: str
    received_at: datetime
    accepted_at: datetime
    sequence: int

    @classmethod
    def of(cls, row: SetAsideFields) -> Self:
        return cls(
            event_id=row.event_id,
            provider=row.provider,
            ordering_key=row.ordering_key,
            received_at=row.received_at,
            accepted_at=row.accepted_at,
            sequence=row.sequence,
        )

    @property
    def first_id(self) -> UUID:
        """No later event of its key has a lower id."""
        since_ms = us_of(self.received_at - RECEIVED_EARLIER_AT_MOST) // 1_000
        return UUID(int=max(since_ms, 0) << 80)


@dataclass(frozen=True, slots=True)
class Later:
    count: int
    sequence: int


def later_events(asides: Sequence[Aside]) -> dict[UUID, Later]:
    """By event id; absent where no later event of its key is committed."""
    columns: list[list[Any]] = [
        [each.event_id for each in asides],
        [each.first_id for each in asides],
        [each.provider for each in asides],
        [each.ordering_key for each in asides],
        [each.accepted_at for each in asides],
        [each.sequence for each in asides],
    ]
    with connection.cursor() as cursor:
        cursor.execute(LATER_EVENTS, [*columns, LATER_LIMIT_COUNT])
        return {event_id: Later(count, sequence) for event_id, count, sequence in cursor.fetchall()}
