"""Forwarded and withheld events whose message nobody needs any more."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

from evidence.models import Outgoing
from ingestion.retention.others import Others
from ingestion.retention.policy import RetentionPolicy

State = Outgoing.State
SETTLED = (State.SENT, State.DISCARDED, State.WITHHELD)


def old_messages(policy: RetentionPolicy, now: datetime) -> Iterator[Others]:
    """Of events alone: a cursor never goes back. The message of an alert says that the alert was told."""
    before = now - timedelta(days=policy.figures_days)
    due = Outgoing.objects.filter(state__in=SETTLED, event_id__isnull=False, settled_at__lt=before)
    yield Others(name="outgoing messages", due=due.order_by("pk"))
