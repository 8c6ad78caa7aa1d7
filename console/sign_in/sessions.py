"""Who is signed in where. A session ends with its row: the next request with its cookie goes to the login."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db.models import QuerySet

from console.models import ConsoleSession
from console.sign_in.store import is_over

SHOWN_COUNT = 200


def sessions(*, now: datetime, user: Any = None) -> Sequence[ConsoleSession]:
    """Signed-in ones that hold now, of a person or of everybody; the one used last comes first."""
    rows = _live(now, user=user).select_related("user").order_by("-last_seen_at")[:SHOWN_COUNT]
    return [row for row in rows if not is_over(row, now=now)]


def end(
    *, now: datetime, user: Any = None, public_id: UUID | None = None, but: UUID | None = None
) -> list[ConsoleSession]:
    """Those that ended: of a person, one of them, or all but one. In the caller's transaction."""
    rows = _live(now, user=user)
    if public_id is not None:
        rows = rows.filter(public_id=public_id)
    if but is not None:
        rows = rows.exclude(public_id=but)
    ended = list(rows.select_related("user").order_by("session_key"))
    ConsoleSession.objects.filter(pk__in=[row.pk for row in ended]).delete()
    return ended


def _live(now: datetime, *, user: Any) -> QuerySet[ConsoleSession]:
    rows = ConsoleSession.objects.filter(user__isnull=False, expire_date__gt=now)
    return rows if user is None else rows.filter(user=user)
