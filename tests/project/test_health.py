"""/healthz and /readyz: alive is not ready, and what is not ready has a name."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import connection
from django.test import Client

from autocom import health
from autocom.build import build
from ingestion.buffer import keys
from ingestion.buffer.store import LaneBuffer, lane_buffer
from ingestion.selectors import WorkerState
from ingestion.worker import drain_worker
from tests.support.workers import other_connection

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def worker(buffer: LaneBuffer) -> Iterator[None]:
    """A drain worker that has reported, without running."""
    registered: Any = drain_worker(queue=keys.DRAIN_QUEUE, name="worker-test")
    registered.register_birth()
    yield
    registered.register_death()


@pytest.fixture
def without_redis(settings: Any) -> Iterator[None]:
    """REDIS_URL names a server that is not there."""
    original = settings.AUTOCOM
    settings.AUTOCOM = dataclasses.replace(original, redis_url="unix:///nowhere/valkey.sock?db=0")
    lane_buffer.cache_clear()
    yield
    settings.AUTOCOM = original
    lane_buffer.cache_clear()


@pytest.fixture
def without_postgresql(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The database's host is one where no PostgreSQL is."""
    connection.close()
    with monkeypatch.context() as patch:
        patch.setitem(connection.settings_dict, "HOST", "/nowhere")
        yield
        connection.close()


def ready() -> tuple[int, dict[str, str]]:
    answer = Client().get("/readyz")
    return answer.status_code, answer.json()["checks"]


OK = {"redis": "ok", "postgresql": "ok", "lanes": "ok", "workers": "ok"}


def test_it_is_ready_when_everything_answers(worker: None) -> None:
    assert ready() == (200, OK)


def test_without_a_drain_worker_it_is_not_ready(buffer: LaneBuffer) -> None:
    assert ready() == (503, OK | {"workers": "no drain worker is alive"})


def test_an_ops_worker_does_not_stand_in_for_a_drain_worker(buffer: LaneBuffer) -> None:
    registered: Any = drain_worker(queue=keys.OPS_QUEUE, name="ops-test")
    registered.register_birth()
    assert ready() == (503, OK | {"workers": "no drain worker is alive"})


def test_a_worker_that_was_killed_does_not_count_though_it_is_still_listed(
    worker: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    def heard(ago: timedelta) -> list[WorkerState]:
        return [WorkerState(name="w", queue="drain", state="idle", last_heartbeat=datetime.now(UTC) - ago)]

    monkeypatch.setattr(health, "workers", lambda: heard(timedelta(seconds=70)))
    assert ready() == (503, OK | {"workers": "no drain worker is alive"})
    monkeypatch.setattr(health, "workers", lambda: heard(timedelta(seconds=30)))
    assert ready() == (200, OK)


def test_a_full_lane_is_named(worker: None, buffer: LaneBuffer, settings: Any) -> None:
    settings.AUTOCOM = dataclasses.replace(settings.AUTOCOM, lane_bound_count=2)
    buffer.client.xadd(keys.stream(2), {"k": "E", "t": "1"}, id="1-0")
    assert ready() == (200, OK)
    buffer.client.xadd(keys.stream(2), {"k": "E", "t": "1"}, id="2-0")
    assert ready() == (503, OK | {"lanes": "full: [2]"})


def test_a_lane_full_by_bytes_is_named_too(worker: None, buffer: LaneBuffer, settings: Any) -> None:
    buffer.client.hset(keys.state(1), "bytes", settings.AUTOCOM.lane_bound_bytes)
    assert ready() == (503, OK | {"lanes": "full: [1]"})


def test_without_redis_what_only_redis_knows_is_unknown_and_never_ok(without_redis: None) -> None:
    unknown = "unknown: Redis does not answer"
    assert ready() == (
        503,
        {"redis": "Redis does not answer", "postgresql": "ok", "lanes": unknown, "workers": unknown},
    )


def test_without_postgresql_it_is_not_ready_and_is_again_when_it_is_back(
    worker: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    connection.close()
    with monkeypatch.context() as patch:
        patch.setitem(connection.settings_dict, "HOST", "/nowhere")
        assert ready() == (503, OK | {"postgresql": "PostgreSQL does not answer"})
    assert ready() == (200, OK)


def test_a_connection_that_postgresql_cut_is_replaced_at_the_next_question(worker: None) -> None:
    connection.ensure_connection()
    with other_connection() as other:  # as a restart of PostgreSQL does: ours is dead and does not know it
        other.execute("SELECT pg_terminate_backend(%s, 5000)", [connection.connection.info.backend_pid])
    ready()
    assert ready() == (200, OK)


def test_it_is_alive_without_redis_and_postgresql(without_redis: None, without_postgresql: None) -> None:
    answer = Client().get("/healthz")
    assert (answer.status_code, answer.json()) == (200, {"status": "alive", "build": build()})


def test_a_probe_that_is_told_not_ready_yet_is_no_error_in_the_log(
    buffer: LaneBuffer, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG):
        assert ready()[0] == 503
    assert [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING] == []


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/metrics"])
def test_health_tells_no_secret_and_takes_no_post(path: str, worker: None, settings: Any) -> None:
    environment = settings.AUTOCOM
    answer = Client().get(path)
    assert answer.status_code == 200
    for value in (environment.secret_key, environment.webhook_bearer_key, environment.webhook_hmac_secret):
        assert value.encode() not in answer.content
    assert environment.db_url.encode() not in answer.content
    assert Client().post(path).status_code == 405
