"""`/api/v1/latency`: how long each stage took, over a range, for all providers or for one."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta
from typing import TypedDict

from django.http import HttpResponse
from rest_framework.request import Request

from autocom.kernel.clock import SYSTEM_CLOCK, datetime_of
from console.access import Permission
from console.api.v1.events import PROVIDER, iso_of
from console.api.v1.operation import Operation, flag, integer, moment
from console.api.v1.shapes import Moment
from console.api.v1.view import ApiView, answered
from ingestion.models import LatencyFlush
from ingestion.selectors import StageLatency, overlapping, stage_latencies

HOUR_SECONDS = 3_600
LONGEST_SECONDS = 31 * 24 * HOUR_SECONDS
EARLIEST = datetime(2, 1, 1, tzinfo=UTC)  # so that an hour before it is a time too


class BucketJson(TypedDict):
    """`up_to_ms` is null in the last one, which has no edge. 120 ms is an edge."""

    up_to_ms: float | None
    count: int


class StageLatencyJson(TypedDict):
    """A percentile is null where the sample is too small to show it. `provider` null: of all."""

    stage: str
    provider: str | None
    count: int
    within_slo_count: int
    p50_ms: float | None
    p95_ms: float | None
    p99_ms: float | None
    p999_ms: float | None
    max_ms: float | None
    histogram: list[BucketJson]


class LatencyJson(TypedDict):
    since: Moment
    until: Moment
    stages: list[StageLatencyJson]


class Latency(ApiView):
    """Merged from the histograms of all processes, never an average of percentiles. What is older than two days is kept
    by the hour, so such a range begins and ends at full hours."""

    operations = {
        "GET": Operation(
            summary="Latency of the stages",
            permission=Permission.OVERVIEW_READ,
            answer=LatencyJson,
            query=(
                moment("until", "The end of the range; now if not given."),
                integer("seconds", "Its length; an hour if not given.", least=60, most=LONGEST_SECONDS),
                PROVIDER,
                flag("by_provider", "One more summary for each provider that has figures in the range."),
            ),
        )
    }

    def get(self, _: Request) -> HttpResponse:
        until = self.query.get("until", datetime_of(us=SYSTEM_CLOCK.now_us()))
        since = _before(until, timedelta(seconds=self.query.get("seconds", HOUR_SECONDS)))
        providers: list[str | None] = [self.query.get("provider")]
        if self.query.get("by_provider"):
            providers += _providers(since=since, until=until)
        told: LatencyJson = {
            "since": iso_of(since),
            "until": iso_of(until),
            "stages": [
                _stage_json(each, provider)
                for provider in dict.fromkeys(providers)
                for each in stage_latencies(since=since, until=until, provider=provider)
            ],
        }
        return answered(told)


def _before(until: datetime, length: timedelta) -> datetime:
    """Whatever the caller calls now: the year 1 too."""
    return max(until, EARLIEST + length) - length


def _providers(*, since: datetime, until: datetime) -> list[str | None]:
    rows = LatencyFlush.objects.filter(overlapping(since=since), minute__lt=until).order_by("provider")
    return list(rows.values_list("provider", flat=True).distinct())


def _stage_json(found: StageLatency, provider: str | None) -> StageLatencyJson:
    return {
        "stage": found.stage,
        "provider": provider,
        "count": found.count,
        "within_slo_count": found.within_slo_count,
        "p50_ms": found.p50_ms,
        "p95_ms": found.p95_ms,
        "p99_ms": found.p99_ms,
        "p999_ms": found.p999_ms,
        "max_ms": found.max_ms,
        "histogram": [
            {"up_to_ms": None if math.isinf(edge_ms) else edge_ms, "count": count} for edge_ms, count in found.buckets
        ],
    }
