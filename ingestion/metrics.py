"""Prometheus exposition of the running totals in Redis and of the lanes as they are now."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from typing import Any, Literal, cast

import redis
from django.conf import settings
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.registry import Collector

from ingestion.buffer import keys
from ingestion.buffer.store import BufferUnavailable, lane_buffer
from ingestion.latency import EDGES_US
from ingestion.selectors import lane_states

type MetricName = Literal[
    "autocom_stage_seconds",
    "autocom_answers",
    "autocom_refused_verifications",
    "autocom_set_aside_events",
    "autocom_lane_entries",
    "autocom_lane_oldest_age_seconds",
    "autocom_lane_bound_entries",
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
                *lane_gauges(),
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
    for state in lane_states():
        depth.add_metric([str(state.lane)], state.depth_count)
        age.add_metric([str(state.lane)], (state.oldest_age_ms or 0) / 1_000)
    bound = GaugeMetricFamily(_name("autocom_lane_bound_entries"), "Entries at which a lane answers 503")
    bound.add_metric([], settings.AUTOCOM.lane_bound_count)
    yield from (depth, age, bound)


def _name(name: MetricName) -> str:
    return name
