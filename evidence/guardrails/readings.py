"""What the rules look at, each figure asked where it is kept. What cannot be asked is UNKNOWN, never 0."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import Error
from django.db.models import QuerySet, Sum

from autocom.kernel.clock import SYSTEM_CLOCK, datetime_of
from evidence.budget.arithmetic import burn_rate
from evidence.budget.selectors import recent
from evidence.log_standing import log_standings
from evidence.models import RollbackDrill
from evidence.slo.shipped import objectives
from ingestion.buffer.store import BufferUnavailable, lane_buffer
from ingestion.latency import Stage, nearest_rank_us, new_histogram
from ingestion.latency_store import merge_encoded
from ingestion.models import AckOutcome, DeadLetter, LatencyFlush
from ingestion.problems import Problem
from ingestion.promises import standing_of
from ingestion.selectors import lane_states, overlapping

ACK_SHARE = 0.95
AVAILABILITY = "availability"
SHORT_WINDOW_SHARE = 12  # the SRE Workbook's second window: 5 minutes of 1 hour
GOOD = ("accepted", "duplicate")


@dataclass(frozen=True, slots=True)
class Reading:
    """`value` None with `why`: it could not be asked. None without: there was nothing to measure."""

    value: float | None
    sample_count: int | None = None
    why: str = ""


def read(metric: str, *, window: timedelta) -> Reading:
    try:
        return METRICS[metric](window)
    except BufferUnavailable as error:
        return Reading(None, why=f"Redis cannot be asked: {error}")
    except Error as error:
        return Reading(None, why=f"PostgreSQL cannot be asked: {str(error).partition('\n')[0]}")


def _ack_p95_ms(window: timedelta) -> Reading:
    histogram = new_histogram()
    rows = LatencyFlush.objects.filter(overlapping(since=_ago(window)), stage=Stage.ACK.value)
    for blob in rows.values_list("histogram", flat=True).iterator():
        merge_encoded(histogram, blob)
    count = histogram.total_count
    return Reading(nearest_rank_us(histogram, share=ACK_SHARE) / 1_000 if count else None, count)


def _availability_burn_rate(window: timedelta) -> Reading:
    """The lower of both windows: it is over when the short one is, and a short blip alone is none."""
    now = _ago(timedelta(0))
    counted = [recent(AVAILABILITY, each, now=now) for each in (window, window / SHORT_WINDOW_SHARE)]
    target = objectives().slo(AVAILABILITY).target
    rates = [rate for each in counted if (rate := burn_rate(each, target=target)) is not None]
    return Reading(float(min(rates)) if len(rates) == len(counted) else None, counted[0].valid)


def _refused_share_percent(window: timedelta) -> Reading:
    rows = _answers(window)
    refused, believed = _sum(rows.filter(code=Problem.UNAUTHORIZED)), _sum(rows.filter(code__in=GOOD))
    count = refused + believed
    return Reading(100 * refused / count if count else None, count)


def _tokens_reused_count(window: timedelta) -> Reading:
    return Reading(_sum(_answers(window).filter(code=Problem.TOKEN_REUSED)))


def _missing_count(_: timedelta) -> Reading:
    buffer = lane_buffer()
    standing = standing_of(buffer)
    if standing is None:
        return Reading(None, why="promises were never compared with the rows")
    if not standing.is_known(now_us=buffer.now_us()):
        return Reading(None, why=standing.problem or "the last whole comparison is too long ago")
    if standing.lost_lanes:
        return Reading(None, why=f"Redis lost its data of lanes {standing.lost_lanes}")
    return Reading(standing.missing_count)


def _oldest_waiting_seconds(_: timedelta) -> Reading:
    ages_ms = [state.oldest_age_ms for state in lane_states() if state.oldest_age_ms is not None]
    return Reading(max(ages_ms, default=0) / 1_000)


def _oldest_unsealed_seconds(_: timedelta) -> Reading:
    now = _ago(timedelta(0))
    waiting = [each.oldest_waiting_at for each in log_standings() if each.oldest_waiting_at]
    return Reading(max(((now - at).total_seconds() for at in waiting), default=0.0))


def _refused_log_count(_: timedelta) -> Reading:
    refused = [f"{each.log}: {each.refused_why}" for each in log_standings() if each.refused_why]
    return Reading(len(refused), why="; ".join(refused))


def _open_dead_letter_count(window: timedelta) -> Reading:
    return Reading(DeadLetter.objects.filter(state=DeadLetter.State.OPEN, dead_at__gte=_ago(window)).count())


def _open_drill_count(_: timedelta) -> Reading:
    return Reading(RollbackDrill.objects.filter(answered_at=None, ended_at=None).count())


METRICS: dict[str, Callable[[timedelta], Reading]] = {
    "ack_p95_ms": _ack_p95_ms,
    "availability_burn_rate": _availability_burn_rate,
    "refused_share_percent": _refused_share_percent,
    "tokens_reused_count": _tokens_reused_count,
    "missing_count": _missing_count,
    "oldest_waiting_seconds": _oldest_waiting_seconds,
    "oldest_unsealed_seconds": _oldest_unsealed_seconds,
    "refused_log_count": _refused_log_count,
    "open_dead_letter_count": _open_dead_letter_count,
    "open_drill_count": _open_drill_count,
}


def _answers(window: timedelta) -> QuerySet[AckOutcome]:
    return AckOutcome.objects.filter(overlapping(since=_ago(window)))


def _sum(rows: QuerySet[AckOutcome]) -> int:
    return rows.aggregate(total=Sum("count"))["total"] or 0


def _ago(span: timedelta) -> datetime:
    return datetime_of(us=SYSTEM_CLOCK.now_us()) - span
