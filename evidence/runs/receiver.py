"""The service's own ack latencies over the minutes of a run, as an HDR log."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

from django.db.models import Q, Sum

from ingestion.latency import Stage
from ingestion.latency_store import merged
from ingestion.models import LatencyFlush
from ingestion.replay.histogram_log import write_log
from ingestion.replay.history import History

NS_PER_SECOND = 1_000_000_000
FLUSHED_WITHIN_SECONDS = 4.0  # a process flushes about every second
POLL_SECONDS = 0.2


def write_receiver_log(path: Path, history: History, *, acknowledged_count: int) -> bool:
    """False, and no file, where the service measured nothing. Other senders of the same minutes are in it too.

    Waits a few seconds for the last flush. Raises django.db.Error.
    """
    began, ended = _moment(history, history.start_ns), _moment(history, history.end_ns)
    of_run = Q(stage=Stage.ACK.value, provider=history.provider, minute__lte=ended)
    rows = LatencyFlush.objects.filter(of_run, minute__gt=began - timedelta(minutes=1))
    deadline = time.monotonic() + FLUSHED_WITHIN_SECONDS
    while (rows.aggregate(all=Sum("count"))["all"] or 0) < acknowledged_count and time.monotonic() < deadline:
        time.sleep(POLL_SECONDS)
    histogram = merged(bytes(blob) for blob in rows.order_by("id").values_list("histogram", flat=True).iterator())
    if not histogram.total_count:
        return False
    what = f"ack latency as the service measured it, microseconds, provider {history.provider}, run {history.run_id}"
    write_log(path, histogram, what=what, start_seconds=began.timestamp(), end_seconds=ended.timestamp())
    return True


def _moment(history: History, monotonic_ns: int) -> datetime:
    return datetime.fromtimestamp(history.wall_ns(monotonic_ns) / NS_PER_SECOND, tz=UTC)
