"""What is known of a provider's refused deliveries."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db.models import Sum

from ingestion.models import RefusalCount, RefusalSample
from ingestion.selectors import overlapping

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
SAMPLES_SHOWN_COUNT = 20


@dataclass(frozen=True, slots=True)
class RefusalSummary:
    """Exact counts by reason, and the newest samples."""

    last_hour: Mapping[str, int]
    last_day: Mapping[str, int]
    samples: Sequence[RefusalSample]

    @property
    def reasons(self) -> Sequence[str]:
        """The commonest of the day first; those that only samples remember last."""
        counted = [reason for reason, _ in Counter(self.last_day).most_common()]
        return list(dict.fromkeys([*counted, *(sample.reason for sample in self.samples)]))


def refusal_summary(provider: str, *, now: datetime) -> RefusalSummary:
    """Raises django.db.Error."""
    samples = RefusalSample.objects.filter(provider=provider).order_by("-pk")[:SAMPLES_SHOWN_COUNT]
    return RefusalSummary(
        last_hour=_counts(provider, since=now - HOUR),
        last_day=_counts(provider, since=now - DAY),
        samples=list(samples),
    )


def _counts(provider: str, *, since: datetime) -> dict[str, int]:
    """By the minutes that overlap the range, as latencies are: a roll-up keeps no seconds."""
    rows = RefusalCount.objects.filter(overlapping(since=since), provider=provider).values("reason")
    return {row["reason"]: row["total"] for row in rows.annotate(total=Sum("count")).order_by("reason")}
