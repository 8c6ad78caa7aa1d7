"""The time of a secret's last use: noted without I/O, written by housekeeping, and it never goes back."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.test import Client

from autocom.kernel.clock import SYSTEM_CLOCK, us_of
from ingestion.buffer.store import LaneBuffer
from ingestion.housekeeping import Housekeeping
from ingestion.latency import LatencyRecorder
from ingestion.models import ProviderSecret
from ingestion.provider_book import BOOK
from ingestion.provider_changes.add import add_provider
from ingestion.provider_changes.rotate import rotate_secret
from ingestion.providers.adapter import Secret
from ingestion.secret_use import SECRET_USES, SecretUses
from ingestion.signed_curl import signed_request

pytestmark = pytest.mark.django_db

NOW = datetime.now(UTC)


def used_at(fingerprint: str) -> datetime | None:
    return ProviderSecret.objects.get(fingerprint=fingerprint).last_used_at


@pytest.fixture
def fingerprint() -> str:
    return add_provider(name="acme", scheme="generic", options={}, secret=None, now=NOW).secret.fingerprint


def test_the_newest_time_wins_whatever_the_order_of_processes(fingerprint: str) -> None:
    secret = Secret(value="x", fingerprint=fingerprint)
    early, late = SecretUses(), SecretUses()
    early.note(provider="acme", secret=secret, now_us=us_of(NOW))
    late.note(provider="acme", secret=secret, now_us=us_of(NOW + timedelta(seconds=5)))
    late.write()
    early.write()
    assert used_at(fingerprint) == NOW + timedelta(seconds=5)


def test_only_what_is_new_is_written(fingerprint: str, django_assert_num_queries: Any) -> None:
    uses = SecretUses()
    for moment in range(1_000):
        uses.note(provider="acme", secret=Secret(value="x", fingerprint=fingerprint), now_us=us_of(NOW) + moment)
    with django_assert_num_queries(1):
        assert uses.write() == 1
    with django_assert_num_queries(0):
        assert uses.write() == 0


def test_noting_goes_on_while_another_thread_writes(fingerprint: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The request path adds secrets that were never seen while housekeeping goes through those that were."""
    uses = SecretUses()
    monkeypatch.setattr("ingestion.secret_use._store", lambda *_, **__: None)
    stop, failures = threading.Event(), []

    def write() -> None:
        while not stop.is_set():
            try:
                uses.write()
            except RuntimeError as error:
                failures.append(error)

    writer = threading.Thread(target=write)
    writer.start()
    for number in range(20_000):
        uses.note(provider="acme", secret=Secret(value="x", fingerprint=f"{number:08x}"), now_us=number)
    stop.set()
    writer.join()
    assert failures == []


def test_a_post_moves_the_last_use_of_the_secret_that_matched_and_of_no_other(
    fingerprint: str, buffer: LaneBuffer, django_assert_num_queries: Any
) -> None:
    new = rotate_secret(name="acme", secret=None, now=NOW).secret.fingerprint
    housekeeping = Housekeeping(recorder=LatencyRecorder(process="test"), book=BOOK)
    housekeeping.turn()
    known = BOOK.named("acme")
    assert known is not None
    request = signed_request(known, url="", now_us=SYSTEM_CLOCK.now_us())  # with the newest secret
    with django_assert_num_queries(0):
        answer = Client().post("/webhooks/acme", request.body, "application/json", headers=dict(request.headers))
    assert answer.status_code == 202
    housekeeping.turn()
    at = used_at(new)
    assert at is not None
    assert abs(at - datetime.now(UTC)) < timedelta(seconds=30)
    assert used_at(fingerprint) is None


def test_a_refused_post_is_no_use(fingerprint: str, buffer: LaneBuffer) -> None:
    BOOK.refresh()
    known = BOOK.named("acme")
    assert known is not None
    request = signed_request(known, url="", now_us=SYSTEM_CLOCK.now_us())
    answer = Client().post("/webhooks/acme", b"{}", "application/json", headers=dict(request.headers))
    assert answer.status_code == 401
    SECRET_USES.write()
    assert used_at(fingerprint) is None
