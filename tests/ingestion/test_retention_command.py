"""`manage.py retention` and the jobs of the cron do what `retention.run` does, and say so."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from io import StringIO

import pytest
from django.conf import settings
from django.core.management import call_command
from django.db.models import F

from ingestion import jobs
from ingestion.buffer import keys
from ingestion.buffer.store import LaneBuffer
from ingestion.models import AgedEvent, Batch, Delivery, Event, LatencyFlush, WantedCertificate
from ingestion.retention import bounds
from ingestion.worker import cron
from tests.console.rows import ago, provider_row, refusal_rows
from tests.support.ageing import age
from tests.support.lanes import LaneKit

pytestmark = pytest.mark.django_db(transaction=True)


def run(*flags: str) -> tuple[int, str]:
    out = StringIO()
    with pytest.raises(SystemExit) as ended:
        call_command("retention", *flags, stdout=out, stderr=out)
    return int(ended.value.code or 0), out.getvalue()


@pytest.fixture(autouse=True)
def _no_seals(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if no app sealed: age alone decides."""
    monkeypatch.setattr(bounds, "_sealed_through", [])


@pytest.fixture
def _short_terms(monkeypatch: pytest.MonkeyPatch) -> None:
    """Bodies for a day, events for two."""
    short = replace(settings.AUTOCOM, retention_body_days=1, retention_event_days=2)
    monkeypatch.setattr(settings, "AUTOCOM", short)


def older_by(days: int) -> None:
    Batch.objects.update(committed_at=F("committed_at") - timedelta(days=days))


@pytest.mark.usefixtures("_short_terms")
def test_a_dry_run_counts_and_removes_nothing_and_a_run_removes_what_it_said(lanes: LaneKit) -> None:
    lanes.receive_many(["evt-1", "evt-2"])
    lanes.drain()
    older_by(3)
    status, text = run("--dry-run", "--json")
    found = {row["kind"]: row["rows"] for row in json.loads(text)["due"]}
    assert (status, found["payloads"], found["events"]) == (0, 2, 0)
    assert Event.objects.filter(payload=None).count() == 0
    assert "payloads" in run("--dry-run")[1]
    status, text = run("--json")
    told = json.loads(text)
    assert (status, told["complete"]) == (0, True)
    assert told["removed"] == [{"kind": "payloads", "rows": 2}, {"kind": "events", "rows": 2}]
    assert run() == (0, "nothing removed\n")


@pytest.mark.usefixtures("_short_terms")
def test_a_batch_that_does_not_prove_itself_is_named_and_exit_is_1(lanes: LaneKit) -> None:
    lanes.receive("evt-1")
    lanes.drain()
    older_by(3)
    Event.objects.update(ordering_key="another")
    status, text = run("--once")
    assert (status, "does not prove itself: its rows are kept" in text) == (1, True)
    assert Event.objects.count() == 1


def test_without_redis_it_cannot_tell_and_removes_nothing(monkeypatch: pytest.MonkeyPatch, lanes: LaneKit) -> None:
    from ingestion.buffer.store import BufferUnavailable

    def away(*_: object, **__: object) -> None:
        raise BufferUnavailable("away")

    monkeypatch.setattr(LaneBuffer, "read", away)
    assert run()[0] == 3
    assert jobs.retention() == {}


@pytest.mark.usefixtures("_short_terms")
def test_the_job_ages_out_and_counts_it_for_the_metrics(lanes: LaneKit) -> None:
    lanes.receive("evt-1")
    lanes.drain()
    older_by(3)
    assert jobs.retention() == {"payloads": 1, "events": 1}
    assert lanes.buffer.client.hget(keys.METRICS.decode(), "aged|events") == b"1"
    assert AgedEvent.objects.count() == 1
    assert Delivery.objects.count() == 1  # its own time of receipt decides


def test_the_jobs_roll_up_what_is_old_enough() -> None:
    row = {"stage": "ack", "provider": "default", "count": 1, "within_slo_count": 1, "sum_us": 5, "max_us": 5}
    from ingestion.latency import new_histogram
    from ingestion.latency_store import encoded

    for number in (1, 2):
        LatencyFlush.objects.create(
            minute=ago(days=4).replace(second=0, microsecond=0, minute=number),
            process="p",
            flush_number=number,
            histogram=encoded(new_histogram()),
            **row,
        )
    assert (jobs.roll_up(), jobs.roll_up_by_hour(), LatencyFlush.objects.count()) == (2, 2, 1)


def test_samples_and_wanted_certificates_go_too() -> None:
    refusal_rows("p")
    provider = provider_row("sns")
    now = ago(seconds=0)
    WantedCertificate.objects.create(provider=provider, url="u", count=1, first_seen_at=now, last_seen_at=now)
    assert age(days=29).removed == {}
    assert age(days=31).removed == {"refusal samples": 1, "wanted certificates": 1}


def test_the_cron_rings_retention_and_roll_ups() -> None:
    assert {job.name for job in cron()._cron_jobs} >= {
        "sweep",
        "roll_up",
        "roll_up_by_hour",
        "merge_latencies",
        "retention",
    }
