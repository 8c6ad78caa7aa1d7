"""Alerts for a reader, and what became of telling others of them."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum

from django.db.models import QuerySet

from evidence.models import Alert, Outgoing


class ShownState(StrEnum):
    OPEN = "open"
    CLOSED = "closed"
    ALL = "all"


def alerts(*, state: ShownState, kind: str = "") -> QuerySet[Alert]:
    """Empty kind: every kind."""
    found = Alert.objects.all()
    if state is not ShownState.ALL:
        found = found.filter(closed_at__isnull=state is ShownState.OPEN)
    return found.filter(kind=kind) if kind else found


def open_count() -> int:
    return alerts(state=ShownState.OPEN).count()


def told_of(rows: Sequence[Alert]) -> QuerySet[Outgoing]:
    """The messages about these, the oldest first."""
    found = Outgoing.objects.filter(alert__in=[row.pk for row in rows])
    return found.select_related("destination").defer("body").order_by("pk")
