"""How messages to destinations stand, for a reader; never their bodies."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from django.db import connection
from django.db.models import QuerySet

from evidence.models import Outgoing, WithheldCount

COUNTED_AT_MOST = 10_000
State = Outgoing.State
NEEDS_A_PERSON = (State.DEAD, State.WITHHELD)

# a count over all would read every forwarded event; the ORM has no limit inside a count by group
COUNTS_BY_STATE = """
SELECT each.id, wanted.state,
       (SELECT count(*) FROM (SELECT 1 FROM evidence_outgoing AS row
                              WHERE row.destination_id = each.id AND row.state = wanted.state LIMIT %s) AS counted),
       (SELECT max(row.settled_at) FROM evidence_outgoing AS row
        WHERE row.destination_id = each.id AND row.state = wanted.state)
FROM evidence_destination AS each CROSS JOIN unnest(%s::text[]) AS wanted(state)
"""


@dataclass(frozen=True, slots=True)
class StateCount:
    """Up to COUNTED_AT_MOST + 1. `newest_at`: when the last of them was settled."""

    count: int
    newest_at: datetime | None


NONE = StateCount(0, None)


def counts_by_state() -> Mapping[int, Mapping[str, StateCount]]:
    """By destination and state. One query, however many messages there are."""
    found: dict[int, dict[str, StateCount]] = {}
    with connection.cursor() as cursor:
        cursor.execute(COUNTS_BY_STATE, [COUNTED_AT_MOST + 1, list(State.values)])
        for destination, state, count, newest_at in cursor.fetchall():
            found.setdefault(destination, {})[state] = StateCount(count, newest_at)
    return found


def newest_troubles() -> Mapping[int, Outgoing]:
    """By destination: the newest message that failed and is not settled otherwise since."""
    failed = Outgoing.objects.filter(state__in=(State.DEAD, State.WAITING)).exclude(error="").defer("body")
    newest = failed.order_by("destination_id", "-pk").distinct("destination_id")
    return {row.destination_id: row for row in newest}


def withheld_since(since: datetime) -> QuerySet[WithheldCount]:
    """By hour, the newest first."""
    return WithheldCount.objects.filter(hour__gte=since).order_by("-hour")


def messages(*, states: tuple[str, ...] = (), destination: str = "") -> QuerySet[Outgoing]:
    """Empty: of every state, to every destination."""
    found = Outgoing.objects.select_related("destination", "alert").defer("body")
    if states:
        found = found.filter(state__in=states)
    return found.filter(destination__name=destination) if destination else found
