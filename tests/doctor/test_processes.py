"""The doctor's checks of processes: real ingresses, workers and crons that run, are stopped, killed or doubled."""

from __future__ import annotations

import dataclasses
import http.server
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings as django_settings
from rq.cron_scheduler_registry import get_registry_key

from autocom.doctor.finding import Finding, Level
from autocom.doctor.judgements import processes as checks
from autocom.doctor.readers import processes as reader
from autocom.doctor.readers.schedulers import last_heartbeats
from ingestion.buffer import keys
from ingestion.buffer.store import LaneBuffer, lane_buffer
from ingestion.worker import drain_worker
from tests.doctor.kit import finding, findings
from tests.project.service_kit import Service, running_service
from tests.support.ingress import free_port, running_ingress
from tests.support.workers import database_url, running_worker, wait_for

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def _empty(buffer: LaneBuffer) -> None:
    """Every test finds and leaves an empty Redis."""


@pytest.fixture
def unwatched(monkeypatch: pytest.MonkeyPatch) -> None:
    """Crons are not what the test is about: nobody watches for seconds whether one moves."""
    monkeypatch.setattr(reader, "WATCHED", timedelta(0))


@contextmanager
def answering(body: bytes) -> Iterator[str]:
    """The address of some other service that answers every GET with the body."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            pass

    server = http.server.HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


def ingress_finding(url: str) -> Finding:
    return checks._ingress(reader.ingress_facts(url))


@pytest.mark.usefixtures("unwatched")
def test_an_ingress_that_runs_this_code_is_fine_and_after_its_end_it_fails(buffer: LaneBuffer) -> None:
    with running_ingress(redis_url=django_settings.AUTOCOM.redis_url, db_url=database_url()) as ingress:
        url = f"http://127.0.0.1:{ingress.port}"
        assert finding(checks.INGRESS, ingress_url=url).level is Level.FINE
    found = finding(checks.INGRESS, ingress_url=url)
    assert found.level is Level.FAIL
    assert "Connection refused" in found.found


def test_an_ingress_with_another_secret_key_fails() -> None:
    with running_ingress(
        redis_url=django_settings.AUTOCOM.redis_url, db_url=database_url(), SECRET_KEY="another-0123456789abcdef0123456"
    ) as ingress:
        found = ingress_finding(f"http://127.0.0.1:{ingress.port}")
    assert found.level is Level.FAIL
    assert "another SECRET_KEY" in found.found


@pytest.mark.parametrize("body", [b"hello", b"[1]", b'{"status": "alive"}', b""])
def test_another_service_on_the_port_fails(body: bytes) -> None:
    with answering(body) as url:
        assert ingress_finding(url).found == f"what answers on {url} is no ingress of this release"
        assert ingress_finding(url).level is Level.FAIL


def test_a_port_that_takes_connections_and_says_nothing_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reader, "ANSWER_WITHIN_SECONDS", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        assert ingress_finding(f"http://127.0.0.1:{silent.getsockname()[1]}").level is Level.FAIL


@pytest.mark.usefixtures("unwatched")
def test_a_real_worker_counts_while_it_runs(buffer: LaneBuffer, settings: Any) -> None:
    settings.AUTOCOM = dataclasses.replace(settings.AUTOCOM, workers_min=1)
    with running_worker():
        wait_for(lambda: reader.alive_workers(buffer.client, queue="drain"), what="the worker's heartbeat")
        found = findings("processes")
        assert found["processes.workers"].level is Level.FINE
        assert found["processes.ops_worker"].level is Level.FAIL  # a drain worker does not stand in
    found = findings("processes")
    assert (found["processes.workers"].level, found["processes.workers"].found) == (
        Level.FAIL,
        "0 alive, 1 to 4 wanted",
    )


@pytest.mark.usefixtures("unwatched")
def test_a_real_ops_worker_counts_as_one(buffer: LaneBuffer) -> None:
    with running_worker(queue="ops"):
        wait_for(lambda: reader.alive_workers(buffer.client, queue="ops"), what="the worker's heartbeat")
        found = findings("processes")
    assert found["processes.ops_worker"].level is Level.FINE
    assert found["processes.workers"].level is Level.FAIL


def test_a_worker_that_was_killed_is_listed_and_does_not_count(buffer: LaneBuffer) -> None:
    registered: Any = drain_worker(queue=keys.DRAIN_QUEUE, name="killed")
    registered.register_birth()
    assert reader.alive_workers(buffer.client, queue="drain") == ["killed"]
    buffer.client.hset(registered.key, "last_heartbeat", "2026-01-01T00:00:00.000000Z")
    assert reader.alive_workers(buffer.client, queue="drain") == []


@pytest.mark.usefixtures("unwatched")
def test_more_workers_than_wanted_are_a_warning(buffer: LaneBuffer, settings: Any) -> None:
    settings.AUTOCOM = dataclasses.replace(settings.AUTOCOM, workers_min=1, workers_max=1)
    for name in ("one", "two"):
        registered: Any = drain_worker(queue=keys.DRAIN_QUEUE, name=name)
        registered.register_birth()
    assert finding(checks.WORKERS).level is Level.WARNING


@contextmanager
def running_cron(log_path: Path, *, beside: int = 0) -> Iterator[Service]:
    """`manage.py cron`, once it has registered beside that many others."""
    with running_service("cron", log_path=log_path) as service:
        wait_for(lambda: len(last_heartbeats(lane_buffer().client)) == beside + 1, what="its registration")
        yield service


def test_one_cron_is_fine_two_fail_and_none_fails(tmp_path: Path) -> None:
    with running_cron(tmp_path / "one"):
        assert finding(checks.CRON).level is Level.FINE
        with running_cron(tmp_path / "two", beside=1):
            found = finding(checks.CRON)
            assert found.level is Level.FAIL
            assert found.found.startswith("2 run: ")
        assert finding(checks.CRON).level is Level.FINE
    found = finding(checks.CRON)
    assert (found.level, found.found) == (Level.FAIL, "none runs")


def test_a_cron_that_was_killed_is_still_registered_and_is_none(tmp_path: Path, buffer: LaneBuffer) -> None:
    with running_cron(tmp_path / "killed") as cron:
        cron.process.kill()
        cron.process.wait()
    time.sleep(reader.FRESH.total_seconds())
    assert len(last_heartbeats(buffer.client)) == 1
    assert finding(checks.CRON).found == "none runs"


def test_a_cron_on_a_machine_with_a_wrong_clock_is_seen_beside_ours(tmp_path: Path, buffer: LaneBuffer) -> None:
    """Its heartbeats bear a time of minutes ago, and they move."""
    registry = get_registry_key()
    stop = threading.Event()

    def beat() -> None:
        while not stop.wait(0.5):
            buffer.client.zadd(registry, {"elsewhere": time.time() - 120})

    with running_cron(tmp_path / "ours"):
        beater = threading.Thread(target=beat, daemon=True)
        beater.start()
        try:
            wait_for(lambda: len(last_heartbeats(buffer.client)) == 2, what="the other's heartbeat")
            found = finding(checks.CRON)
        finally:
            stop.set()
            beater.join()
    assert found.level is Level.FAIL
    assert "elsewhere" in found.found


def left_entry(buffer: LaneBuffer, lane: int) -> None:
    accepted_us = time.time_ns() // 1_000 - 20_000_000
    buffer.client.xadd(keys.stream(lane), {"k": "E", "t": accepted_us, "m": "{}", "h": "h"}, id="1-0")


@pytest.mark.usefixtures("unwatched")
def test_an_old_entry_and_nobody_at_work_fail(buffer: LaneBuffer) -> None:
    left_entry(buffer, 3)
    found = finding(checks.LANES)
    assert (found.level, found.found) == (Level.FAIL, "nobody at work on lane 3")


@pytest.mark.usefixtures("unwatched")
def test_a_lane_that_is_held_or_rests_is_not_left(buffer: LaneBuffer) -> None:
    left_entry(buffer, 2)
    buffer.client.set(keys.lease(2), "token@worker")
    left_entry(buffer, 3)
    buffer.client.hset(keys.state(3), "retry_at_us", time.time_ns() // 1_000 + 60_000_000)
    found = finding(checks.LANES)
    assert (found.level, found.found) == (Level.FINE, "2 lanes hold entries, none without somebody")


def test_a_lane_whose_entries_move_while_we_look_is_not_left(
    buffer: LaneBuffer, monkeypatch: pytest.MonkeyPatch
) -> None:
    left_entry(buffer, 3)

    def moves(_: float) -> None:
        buffer.client.delete(keys.stream(3))

    monkeypatch.setattr(time, "sleep", moves)
    assert reader.unattended_lanes() == []


@pytest.mark.usefixtures("unwatched")
def test_a_full_lane_that_nobody_empties_is_left_too(buffer: LaneBuffer, settings: Any) -> None:
    settings.AUTOCOM = dataclasses.replace(settings.AUTOCOM, lane_bound_count=1)
    left_entry(buffer, 1)
    assert finding(checks.LANES).level is Level.FAIL


def test_without_redis_nobody_is_known_to_live(settings: Any) -> None:
    settings.AUTOCOM = dataclasses.replace(settings.AUTOCOM, redis_url="unix:///nowhere/valkey.sock?db=0")
    lane_buffer.cache_clear()
    try:
        found = findings("processes", ingress_url=f"http://127.0.0.1:{free_port()}")
    finally:
        lane_buffer.cache_clear()
    assert found.pop("processes.ingress").level is Level.FAIL  # this one can be asked
    assert {each.level for each in found.values()} == {Level.UNKNOWN}
