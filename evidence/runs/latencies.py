"""The latencies that a run left in its folder: at the sender and as the service measured them."""

from __future__ import annotations

import csv
import json
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hdrh.codec import HdrCookieException, HdrHistogramSettingsException, HdrLengthException

from evidence.runs.folders import ACKS, RECEIVER, SAMPLES, SUMMARY, RunFolder, kept_run
from ingestion.latency import SLO_US
from ingestion.latency_distribution import Distribution
from ingestion.replay.histogram_log import read_log

LOG_LIMIT_BYTES = 4 * 2**20  # of one histogram: some kilobytes
SAMPLES_LIMIT_BYTES = 64 * 2**20  # some 200,000 sends; read for one page
UNREADABLE = (
    *(OSError, ValueError, IndexError, zlib.error),
    *(HdrCookieException, HdrLengthException, HdrHistogramSettingsException),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class RunSide:
    """One file's latencies. `over_slo_count`: exact, and None where nothing exact is kept."""

    distribution: Distribution
    over_slo_count: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class RunLatencies:
    """A side is None where its file is missing or cannot be read."""

    run: RunFolder
    summary: Mapping[str, Any]
    sender: RunSide | None  # from the intended moment to the end of the answer
    receiver: RunSide | None  # all of the minutes of the run, other senders' too


def run_latencies(run_id: str) -> RunLatencies:
    """Of a run below EVIDENCE_ROOT. Raises RunUnknown."""
    run = kept_run(run_id)
    acks, receiver = _distribution(run.path / ACKS), _distribution(run.path / RECEIVER)
    return RunLatencies(
        run=run,
        summary=_summary(run.path / SUMMARY),
        sender=None if acks is None else _sender(acks, run.path / SAMPLES),
        receiver=None if receiver is None else RunSide(distribution=receiver, over_slo_count=None),
    )


def _sender(acks: Distribution, samples: Path) -> RunSide:
    return RunSide(distribution=acks, over_slo_count=_over_slo_count(samples, acks.count))


def _distribution(path: Path) -> Distribution | None:
    try:
        if path.stat().st_size > LOG_LIMIT_BYTES:
            return None
        histogram = read_log(path)
        return Distribution.of(histogram) if histogram is not None and histogram.total_count else None
    except UNREADABLE:
        return None


def _over_slo_count(path: Path, acknowledged_count: int) -> int | None:
    """Of first attempts that were answered 2xx, each by its own time. None unless just as many are in the histogram."""
    count = over_count = 0
    try:
        if path.stat().st_size > SAMPLES_LIMIT_BYTES:
            return None
        with path.open(newline="", encoding="utf-8") as file:
            for row in csv.DictReader(file):
                if row["first_status"].startswith("2") and row["latency_us"]:
                    count += 1
                    over_count += int(row["latency_us"]) > SLO_US
    except (OSError, ValueError, KeyError, AttributeError, csv.Error):
        return None
    return over_count if count == acknowledged_count else None


def _summary(path: Path) -> Mapping[str, Any]:
    try:
        found = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
