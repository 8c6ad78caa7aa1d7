"""Prometheus exposition of the running totals in Redis and of the lanes as they are now."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Any, Literal, cast

import redis
from django.conf import settings
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.registry import Collector

from ingestion.buffer import keys
from ingestion.buffer.store import BufferUnavailable, lane_buffer
from ingestion.latency import EDGES_US
from ingestion.log_figures import log_figures
from ingestion.promises import standing_of
from ingestion.selectors import LaneState, lane_states, scaling
from ingestion.withheld import KIND

type MetricName = Literal[
    "autocom_stage_seconds",
    "autocom_answers",
    "autocom_refused_verifications",
    "autocom_set_aside_events",
    "autocom_aged_rows",
    "autocom_withheld_sends",
    "autocom_lane_entries",
    "autocom_lane_oldest_age_seconds",
    "autocom_lane_bytes",
    "autocom_lane_bound_entries",
    "autocom_lane_bound_bytes",
    "autocom_lane_attempts",
    "autocom_lane_paused",
    "autocom_backlog_entries",
    "autocom_backlog_age_seconds",
    "autocom_lanes_resting",
    "autocom_workers",
    "autocom_workers_at_maximum",
    "autocom_log_leaves",
    "autocom_log_waiting_leaves",
    "autocom_log_waiting_seconds",
    "autocom_log_refused",
    "autocom_promises_missing",
    "autocom_promise_oldest_waiting_seconds",
    "autocom_promise_check_age_seconds",
    "autocom_promises_behind",
    "autocom_promises_checked",
    "autocom_promises_unchecked",
    "autocom_source_up",
]


def exposition() -> bytes:
    registry = CollectorRegistry()
    registry.register(TotalsCollector())
    text: bytes = generate_latest(registry)
    return text


class TotalsCollector(Collector):
    """Reads Redis once a scrape.

    Counters that restart from zero (an emptied Redis) are what Prometheus expects of a restart.
    """

    def collect(self) -> Iterator[Any]:
        up = GaugeMetricFamily(_name("autocom_source_up"), "1 while the source can be asked", labels=["source"])
        try:
            totals = cast("dict[bytes, bytes]", lane_buffer().client.hgetall(keys.METRICS.decode()))
            # all of it before any of it: a half-read scrape would pass for a whole one
            families = [
                *stage_histograms(totals),
                answers(totals),
                refused_verifications(totals),
                set_aside_events(totals),
                aged_rows(totals),
                withheld_sends(totals),
                *lane_gauges(),
                *worker_gauges(),
                *log_gauges(),
                *promise_figures(),
            ]
        except (BufferUnavailable, redis.RedisError):
            families = []
        up.add_metric(["redis"], 1 if families else 0)
        yield from (*families, up)


def stage_histograms(totals: dict[bytes, bytes]) -> Iterator[HistogramMetricFamily]:
    """Cumulative buckets, with an edge at 120 ms that comes from an exact counter."""
    values: dict[tuple[str, str], dict[str, int]] = defaultdict(dict)
    for name, value in totals.items():
        kind, _, rest = name.decode().partition("|")
        if kind == "latency":
            stage, provider, field = rest.split("|", 2)
            values[stage, provider][field] = int(value)
    family = HistogramMetricFamily(_name("autocom_stage_seconds"), "Time each stage took", labels=["stage", "provider"])
    for (stage, provider), fields in sorted(values.items()):
        buckets, total = [], 0
        for edge_us in EDGES_US:
            total += fields.get(f"le|{edge_us}", 0)
            buckets.append((f"{edge_us / 1_000_000:g}", total))
        total += fields.get("le|inf", 0)
        buckets.append(("+Inf", total))
        family.add_metric([stage, provider], buckets=buckets, sum_value=fields.get("sum_us", 0) / 1_000_000)
    yield family


def answers(totals: dict[bytes, bytes]) -> CounterMetricFamily:
    family = CounterMetricFamily(_name("autocom_answers"), "POSTs by what was answered", labels=["provider", "code"])
    return _filled(family, totals, kind="outcome")


def refused_verifications(totals: dict[bytes, bytes]) -> CounterMetricFamily:
    """Only providers that are configured get this far, so the labels are bounded."""
    name = _name("autocom_refused_verifications")
    family = CounterMetricFamily(name, "Deliveries that were not believed", labels=["provider", "reason"])
    return _filled(family, totals, kind="refusal")


def set_aside_events(totals: dict[bytes, bytes]) -> CounterMetricFamily:
    name = _name("autocom_set_aside_events")
    family = CounterMetricFamily(name, "Events set aside, and retries by their end", labels=["provider", "fate"])
    return _filled(family, totals, kind="set_aside")


def aged_rows(totals: dict[bytes, bytes]) -> CounterMetricFamily:
    """The kinds are those of `retention.run.kinds`, so the label is bounded."""
    family = CounterMetricFamily(_name("autocom_aged_rows"), "Rows that retention removed", labels=["kind"])
    for name, value in sorted(totals.items()):
        found, _, kind = name.decode().partition("|")
        if found == "aged":
            family.add_metric([kind], int(value))
    return family


def withheld_sends(totals: dict[bytes, bytes]) -> CounterMetricFamily:
    name = _name("autocom_withheld_sends")
    family = CounterMetricFamily(name, "Sends that the mode kept from leaving", labels=["what"])
    for field, value in sorted(totals.items()):
        found, _, what = field.decode().partition("|")
        if found == KIND:
            family.add_metric([what], int(value))
    return family


def _filled(family: CounterMetricFamily, totals: dict[bytes, bytes], *, kind: str) -> CounterMetricFamily:
    for name, value in sorted(totals.items()):
        found, _, rest = name.decode().partition("|")
        if found == kind:
            provider, word = rest.split("|", 1)
            family.add_metric([provider, word], int(value))
    return family


def lane_gauges() -> Iterator[GaugeMetricFamily]:
    depth = GaugeMetricFamily(_name("autocom_lane_entries"), "Entries that wait on the lane", labels=["lane"])
    age = GaugeMetricFamily(_name("autocom_lane_oldest_age_seconds"), "Age of the lane's oldest entry", labels=["lane"])
    size = GaugeMetricFamily(_name("autocom_lane_bytes"), "Memory of Redis that the lane takes", labels=["lane"])
    attempts = GaugeMetricFamily(
        _name("autocom_lane_attempts"), "Failed attempts of the lane since its last commit", labels=["lane"]
    )
    paused = GaugeMetricFamily(_name("autocom_lane_paused"), "1 while a person keeps the lane paused", labels=["lane"])
    states = lane_states()
    for state in states:
        paused.add_metric([str(state.lane)], state.paused_since is not None)
        depth.add_metric([str(state.lane)], state.depth_count)
        size.add_metric([str(state.lane)], state.size_bytes)
        age.add_metric([str(state.lane)], (state.oldest_age_ms or 0) / 1_000)
        attempts.add_metric([str(state.lane)], state.attempt_count)
    bound = GaugeMetricFamily(_name("autocom_lane_bound_entries"), "Entries at which a lane answers 503")
    bound.add_metric([], settings.AUTOCOM.lane_bound_count)
    bound_bytes = GaugeMetricFamily(_name("autocom_lane_bound_bytes"), "Memory at which a lane answers 503")
    bound_bytes.add_metric([], settings.AUTOCOM.lane_bound_bytes)
    yield from (depth, age, size, bound, bound_bytes, attempts, paused, *_backlog_gauges(states))


def _backlog_gauges(states: Sequence[LaneState]) -> Iterator[GaugeMetricFamily]:
    """What more workers could help with: a lane that rests waits for the database, a paused one for a person."""
    awake = [state for state in states if not state.is_resting and state.paused_since is None]
    entries = GaugeMetricFamily(_name("autocom_backlog_entries"), "Entries that wait for a worker")
    entries.add_metric([], sum(state.depth_count for state in awake))
    age = GaugeMetricFamily(_name("autocom_backlog_age_seconds"), "Age of the oldest entry that waits for a worker")
    age.add_metric([], max((state.oldest_age_ms or 0 for state in awake), default=0) / 1_000)
    resting = GaugeMetricFamily(_name("autocom_lanes_resting"), "Lanes that rest because the database refused")
    resting.add_metric([], sum(state.is_resting for state in states))
    yield from (entries, age, resting)


def worker_gauges() -> Iterator[GaugeMetricFamily]:
    """Nothing where no autoscaler runs."""
    standing = scaling()
    if standing is None:
        return
    count = GaugeMetricFamily(_name("autocom_workers"), "Drain workers, as the autoscaler has it", labels=["count"])
    count.add_metric(["wanted"], standing.wanted_count)
    count.add_metric(["alive"], standing.alive_count)
    count.add_metric(["minimum"], standing.minimum_count)
    count.add_metric(["maximum"], standing.maximum_count)
    full = GaugeMetricFamily(_name("autocom_workers_at_maximum"), "1 while more workers are wanted than may run")
    full.add_metric([], standing.is_at_maximum)
    yield from (count, full)


def log_gauges() -> Iterator[GaugeMetricFamily]:
    """Nothing where nobody has looked lately: then nobody seals either."""
    found = log_figures(lane_buffer())
    if not found:
        return
    now_us = lane_buffer().now_us()
    size = GaugeMetricFamily(_name("autocom_log_leaves"), "Leaves of the log that are sealed", labels=["log"])
    waiting = GaugeMetricFamily(_name("autocom_log_waiting_leaves"), "Committed, and not sealed", labels=["log"])
    age = GaugeMetricFamily(_name("autocom_log_waiting_seconds"), "Since the oldest of these came", labels=["log"])
    refused = GaugeMetricFamily(_name("autocom_log_refused"), "1 while the sealer refuses something", labels=["log"])
    for each in found:
        waited_us = max(now_us - each.oldest_waiting_us, 0) if each.oldest_waiting_us else 0
        size.add_metric([each.log], each.size_count)
        waiting.add_metric([each.log], each.waiting_count)
        age.add_metric([each.log], waited_us / 1_000_000)
        refused.add_metric([each.log], each.is_refused)
    yield from (size, waiting, age, refused)


def promise_figures() -> Iterator[Any]:
    """Of the last whole check; without samples where there was none lately, as nothing is known then."""
    now_us = lane_buffer().now_us()
    standing = standing_of(lane_buffer())
    is_known = standing is not None and standing.is_known(now_us=now_us)
    missing = GaugeMetricFamily(_name("autocom_promises_missing"), "Promised events that are missing or differ")
    waiting = GaugeMetricFamily(_name("autocom_promise_oldest_waiting_seconds"), "Age of the oldest event on any lane")
    behind = GaugeMetricFamily(_name("autocom_promises_behind"), "Promises that are due and not looked for yet")
    age = GaugeMetricFamily(_name("autocom_promise_check_age_seconds"), "Since promises were last compared as a whole")
    checked = CounterMetricFamily(_name("autocom_promises_checked"), "Promises that were looked for among the rows")
    unchecked = CounterMetricFamily(_name("autocom_promises_unchecked"), "Promises whose record was gone too soon")
    if standing is not None and is_known:
        missing.add_metric([], standing.missing_count)
        behind.add_metric([], standing.behind_count)
        waited_us = now_us - standing.oldest_waiting_us if standing.oldest_waiting_us else 0
        waiting.add_metric([], max(waited_us, 0) / 1e6)
    if standing is not None and standing.whole_us:
        age.add_metric([], max(now_us - standing.whole_us, 0) / 1e6)
        checked.add_metric([], standing.checked_count)
        unchecked.add_metric([], standing.unchecked_count)
    yield from (missing, waiting, behind, age, checked, unchecked)


def _name(name: MetricName) -> str:
    return name
