"""Sending goes on beside the worker's other jobs, by one thread at a time, on the queue that cron fills."""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Iterator

import pytest
from django.conf import settings

from evidence import jobs, publishing
from evidence.audit import Actor
from evidence.models import Publication
from ingestion.worker import PERIODIC
from tests.evidence.artifacts import stored_artifact
from tests.evidence.endpoint_kit import FakeEndpoint, fake_endpoint
from tests.support.workers import wait_for

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def endpoint(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeEndpoint]:
    with fake_endpoint() as endpoint:
        known = dataclasses.replace(settings.AUTOCOM, evidence_endpoint=endpoint.url)
        monkeypatch.setattr(settings, "AUTOCOM", known)
        yield endpoint
        wait_for(lambda: not publishers(), what="the publisher has ended")


def publishers() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "publisher"]


def test_the_job_comes_every_ten_seconds() -> None:
    assert PERIODIC[jobs.publish_due] == 10


def test_the_job_returns_while_the_sending_goes_on_and_a_second_one_starts_nothing(endpoint: FakeEndpoint) -> None:
    going, go_on = threading.Event(), threading.Event()

    def held_up() -> None:
        going.set()
        assert go_on.wait(20)

    endpoint.arriving = held_up
    row = publishing.ask(stored_artifact(b"a report"), actor=Actor.process("test"))
    assert jobs.publish_due()
    assert going.wait(20)
    assert not jobs.publish_due()
    assert len(publishers()) == 1
    go_on.set()
    wait_for(lambda: Publication.objects.get(pk=row.pk).state == Publication.State.PUBLISHED, what="it is published")
    wait_for(lambda: not publishers(), what="the publisher has ended")
    assert jobs.publish_due()  # free for the next round


def test_a_fault_of_ours_leaves_the_publisher_free_and_the_row_to_the_next_round(
    endpoint: FakeEndpoint, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    row = publishing.ask(stored_artifact(b"a report"), actor=Actor.process("test"))
    with monkeypatch.context() as broken:
        broken.setattr("evidence.publishing.publisher.parcels_of", lambda _: 1 / 0)
        assert jobs.publish_due()
        wait_for(lambda: not publishers(), what="the publisher has ended")
    assert "publisher_crashed" in caplog.text
    row.refresh_from_db()
    assert row.state == Publication.State.WAITING
    row.next_attempt_at = row.asked_at
    row.save()
    assert jobs.publish_due()
    wait_for(lambda: Publication.objects.get(pk=row.pk).state == Publication.State.PUBLISHED, what="it is published")
