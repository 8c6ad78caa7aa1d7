"""A history that nobody touched gives no finding, also while it grows."""

from __future__ import annotations

import threading

import pytest
from django.conf import settings
from django.db import connection

from ingestion.buffer.store import lane_buffer
from ingestion.models import AgedEvent, BatchLeaves, DeadLetter, Event, QuarantinedEvent, SuppressedDuplicate
from tests.support.history import Sender, drain_all, mixture, seal_logs
from tests.tamper.arena import Case
from tests.tamper.finders import FINDERS, audit_verify


def test_the_history_has_everything_in_it(case: Case) -> None:
    for model in (Event, DeadLetter, QuarantinedEvent, SuppressedDuplicate, AgedEvent, BatchLeaves):
        assert model._default_manager.exists(), model
    assert Event.objects.filter(payload__isnull=True).exists()
    assert Event.objects.exclude(redriven_at=None).exists()


@pytest.mark.parametrize("finder", FINDERS)
def test_an_untouched_history_has_no_finding_by_anyone(case: Case, finder: str) -> None:
    assert FINDERS[finder](case) == []


def test_commits_and_seals_during_the_verification_are_no_finding(case: Case) -> None:
    """The history goes on where it was: the lanes of the arena are still in Redis."""
    stop, trouble = threading.Event(), []
    rounds = 0

    def traffic() -> None:
        nonlocal rounds
        try:
            while not stop.is_set():
                for body in mixture(name=f"d{rounds}", count=25):
                    Sender(lane_buffer()).send(body)
                drain_all(lane_buffer())
                seal_logs()
                rounds += 1
        except Exception as error:  # noqa: BLE001  (told by the test's own thread)
            trouble.append(error)
        finally:
            connection.close()

    before_count = Event.objects.count()
    thread = threading.Thread(target=traffic)
    thread.start()
    try:
        findings = [audit_verify(case) for _ in range(8)]
    finally:
        stop.set()
        thread.join(60)
    assert (findings, trouble) == ([[]] * 8, [])
    assert rounds > 1
    assert Event.objects.count() > before_count
    assert audit_verify(case) == []
    assert settings.AUTOCOM.evidence_root == case.folder
