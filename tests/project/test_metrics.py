"""/metrics: a parser reads it, its counts are the exact ones, its labels are bounded, and unknown is never zero."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from django.conf import settings
from django.db.models import Sum
from django.test import Client
from prometheus_client import Metric
from prometheus_client.parser import text_string_to_metric_families

from ingestion.autoscale.standing import keep_standing
from ingestion.buffer.store import LaneBuffer
from ingestion.latency import EDGES_US, LatencyRecorder, Stage
from ingestion.latency_store import LatencyFlusher
from ingestion.models import LatencyFlush
from ingestion.problems import Problem
from tests.ingestion.test_autoscale import STANDING
from tests.project.test_health import without_redis  # noqa: F401  (a fixture)
from tests.support.ingress import Ingress, request_bytes, running_ingress, signed_request
from tests.support.resting import rest
from tests.support.senders import event_body
from tests.support.workers import database_url

pytestmark = pytest.mark.django_db(transaction=True)
HOSTILE = "attacker-made-this-name"
FLUSHED_WITHIN_SECONDS = 30.0


def families(text: str) -> dict[str, Metric]:
    return {family.name: family for family in text_string_to_metric_families(text)}


def scrape() -> dict[str, Metric]:
    answer = Client().get("/metrics")
    assert answer.status_code == 200
    assert answer["Content-Type"].startswith("text/plain; version=")
    return families(answer.content.decode())


def values(family: Metric, suffix: str = "", **labels: str) -> list[float]:
    return [s.value for s in family.samples if s.name == family.name + suffix and labels.items() <= s.labels.items()]


def flushed(buffer: LaneBuffer, recorder: LatencyRecorder) -> None:
    assert LatencyFlusher(recorder, client=buffer.client).flush()


def test_the_bucket_at_120_ms_is_the_exact_count_and_not_a_rounded_one(buffer: LaneBuffer) -> None:
    recorder = LatencyRecorder(process="test")
    for duration_us in (119_999, 120_000, 120_000, 120_001, 120_040, 120_063, 5):
        recorder.record(Stage.ACK, "default", duration_us)
    flushed(buffer, recorder)
    family = scrape()["autocom_stage_seconds"]
    within = LatencyFlush.objects.aggregate(total=Sum("within_slo_count"))["total"]
    assert within == 4
    assert values(family, "_bucket", le="0.12", stage="ack") == [within]
    assert values(family, "_bucket", le="0.2", stage="ack") == [7]


def test_every_bucket_counts_the_values_up_to_its_edge_and_they_add_up(buffer: LaneBuffer) -> None:
    chance = random.Random(7)
    durations = [*(int(chance.lognormvariate(9, 3)) for _ in range(300)), *EDGES_US, *(edge + 1 for edge in EDGES_US)]
    recorder = LatencyRecorder(process="test")
    for duration_us in durations:
        recorder.record(Stage.QUEUE, "default", duration_us)
    flushed(buffer, recorder)
    family = scrape()["autocom_stage_seconds"]
    for edge_us in EDGES_US:
        expected = sum(1 for duration in durations if duration <= edge_us)
        assert values(family, "_bucket", le=f"{edge_us / 1e6:g}", stage="queue") == [expected], edge_us
    assert values(family, "_bucket", le="+Inf", stage="queue") == [len(durations)]
    assert values(family, "_count", stage="queue") == [len(durations)]
    assert values(family, "_sum", stage="queue") == [pytest.approx(sum(durations) / 1e6)]


def test_totals_add_up_over_processes_and_flushes(buffer: LaneBuffer) -> None:
    for process in ("one", "two"):
        recorder = LatencyRecorder(process=process)
        for _ in range(2):
            recorder.record(Stage.ACK, "default", 1_500)
            recorder.record_outcome("default", "accepted")
            flushed(buffer, recorder)
    metrics = scrape()
    assert values(metrics["autocom_stage_seconds"], "_count", stage="ack") == [4]
    assert values(metrics["autocom_answers"], "_total", provider="default", code="accepted") == [4]


def test_a_lanes_entries_and_age_are_shown_for_every_lane(buffer: LaneBuffer) -> None:
    accepted_us = (int(time.time()) - 90) * 1_000_000
    buffer.client.xadd("{autocom}:lane:1:stream", {"k": "E", "t": str(accepted_us), "m": "{}", "h": "x"}, id="1-0")
    metrics = scrape()
    assert values(metrics["autocom_lane_entries"]) == [0, 1, 0, 0]
    assert 90 <= values(metrics["autocom_lane_oldest_age_seconds"], lane="1")[0] < 150
    assert values(metrics["autocom_lane_bytes"]) == [0, 0, 0, 0]  # counted at the append, which did not make this entry
    assert values(metrics["autocom_lane_bound_entries"]) == [settings.AUTOCOM.lane_bound_count]
    assert values(metrics["autocom_lane_bound_bytes"]) == [settings.AUTOCOM.lane_bound_bytes]
    assert values(metrics["autocom_source_up"], source="redis") == [1]


def test_a_resting_lanes_attempts_are_a_gauge_of_its_lane(buffer: LaneBuffer) -> None:
    rest(buffer, lane=2, attempts=3)
    assert values(scrape()["autocom_lane_attempts"]) == [0, 0, 3, 0]


def test_the_backlog_leaves_out_lanes_that_rest_since_no_worker_could_help_them(buffer: LaneBuffer) -> None:
    for lane, seconds in ((0, 600), (1, 30), (2, 90)):
        accepted_us = (int(time.time()) - seconds) * 1_000_000
        buffer.client.xadd(
            f"{{autocom}}:lane:{lane}:stream", {"k": "E", "t": str(accepted_us), "m": "{}", "h": "x"}, id="1-0"
        )
    claim = buffer.claim(0, token=b"t@w", fence_floor=0)
    assert claim is not None
    buffer.back_off(claim, rest=timedelta(seconds=9), next_attempt_us=1, error="refused")
    metrics = scrape()
    assert values(metrics["autocom_backlog_entries"]) == [2]
    assert 90 <= values(metrics["autocom_backlog_age_seconds"])[0] < 150
    assert values(metrics["autocom_lanes_resting"]) == [1]


def test_the_autoscalers_numbers_are_told_while_it_speaks_and_absent_otherwise(buffer: LaneBuffer) -> None:
    assert not {"autocom_workers", "autocom_workers_at_maximum"} & set(scrape())
    keep_standing(replace(STANDING, is_at_maximum=1), buffer=buffer)
    metrics = scrape()
    counts = {
        name: values(metrics["autocom_workers"], count=name) for name in ("wanted", "alive", "minimum", "maximum")
    }
    assert counts == {"wanted": [3], "alive": [2], "minimum": [1], "maximum": [4]}
    assert values(metrics["autocom_workers_at_maximum"]) == [1]


def test_without_redis_nothing_but_the_missing_source_is_told(without_redis: None) -> None:  # noqa: F811
    metrics = scrape()
    assert set(metrics) == {"autocom_source_up"}
    assert values(metrics["autocom_source_up"], source="redis") == [0]


def test_redis_failing_halfway_through_a_scrape_leaves_no_half_of_it(
    buffer: LaneBuffer, monkeypatch: pytest.MonkeyPatch
) -> None:
    buffer.client.set("{autocom}:lane:2:stream", "no stream")  # the totals can be read, the lanes cannot
    recorder = LatencyRecorder(process="test")
    recorder.record_outcome("default", "accepted")
    flushed(buffer, recorder)
    assert set(scrape()) == {"autocom_source_up"}


@pytest.fixture(scope="module")
def ingress(django_db_setup: None, django_db_blocker: Any) -> Iterator[Ingress]:
    with django_db_blocker.unblock():
        url = database_url()
    with running_ingress(redis_url=settings.AUTOCOM.redis_url, db_url=url, workers=2) as ingress:
        yield ingress


def test_answers_are_counted_by_code_and_a_senders_words_never_become_labels(
    buffer: LaneBuffer, ingress: Ingress
) -> None:
    body = event_body("evt-metrics")
    sent = [
        signed_request(body),
        signed_request(body),
        signed_request(body, secret="wrong-0123456789"),
        signed_request(event_body("evt-metrics", ordering_key="other")),
        signed_request(body, path=f"/webhooks/{HOSTILE}"),
        signed_request(body, path=f"/webhooks/{HOSTILE}/{HOSTILE}"),
        signed_request(body, path=f"/{HOSTILE}"),
        request_bytes(b"", [], method="GET"),
        request_bytes(b"", [], method=HOSTILE.upper()),
        request_bytes(body, [("Content-Length", "99999999999")]),
    ]
    for data in sent:
        assert ingress.send(data).status
    expected = {
        ("default", "accepted"): 1.0,
        ("default", "duplicate"): 1.0,
        ("default", str(Problem.UNAUTHORIZED)): 1.0,
        ("default", str(Problem.IDENTITY_CONFLICT)): 1.0,
    }
    deadline = time.monotonic() + FLUSHED_WITHIN_SECONDS
    counted: dict[tuple[str, str], float] = {}
    while time.monotonic() < deadline and sum(counted.values()) < len(sent) - 1:  # one is not below /webhooks
        text = ingress.get("/metrics").body.decode()
        family = families(text)["autocom_answers"]
        counted = {
            (s.labels["provider"], s.labels["code"]): s.value for s in family.samples if s.name.endswith("_total")
        }
        time.sleep(0.1)
    assert expected.items() <= counted.items()
    assert sum(counted.values()) == len(sent) - 1
    assert HOSTILE not in text.lower()
    known = {"accepted", "duplicate", "handshake", *map(str, Problem)}
    assert {code for _, code in counted} <= known
    assert {provider for provider, _ in counted} <= {"default", ""}
