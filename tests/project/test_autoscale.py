"""`manage.py autoscale` as a process, with real workers, Redis and PostgreSQL."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from django.db import connection

from ingestion.autoscale.standing import standing_of
from ingestion.buffer.store import LaneBuffer
from ingestion.drain import STOP
from ingestion.models import Event
from tests.project.service_kit import PROJECT, Service, running_service
from tests.support.lanes import LaneKit, delivery, event
from tests.support.workers import environment, wait_for

pytestmark = pytest.mark.django_db(transaction=True)
SLOW_EVENT_SECONDS = 0.02


@pytest.fixture
def lanes(buffer: LaneBuffer) -> LaneKit:
    STOP.clear()
    return LaneKit(buffer=buffer)


@pytest.fixture
def slow_commits() -> Iterator[None]:
    """Each stored event takes PostgreSQL some milliseconds that no other session has to wait for."""
    with connection.cursor() as cursor:
        cursor.execute(
            "CREATE FUNCTION autocom_test_slow() RETURNS trigger LANGUAGE plpgsql AS "
            f"$$ BEGIN PERFORM pg_sleep({SLOW_EVENT_SECONDS}); RETURN NEW; END $$"
        )
        cursor.execute(
            "CREATE TRIGGER slow BEFORE INSERT ON ingestion_event FOR EACH ROW EXECUTE FUNCTION autocom_test_slow()"
        )
    yield
    with connection.cursor() as cursor:
        cursor.execute("DROP TRIGGER slow ON ingestion_event")
        cursor.execute("DROP FUNCTION autocom_test_slow()")


def workers_of(service: Service) -> list[psutil.Process]:
    found: list[psutil.Process] = psutil.Process(service.process.pid).children()
    return found


def receive(lanes: LaneKit, count: int, *, start: int = 0) -> None:
    """Evenly on all four lanes."""
    for lane in range(4):
        numbers = range(start + lane, start + count, 4)
        lanes.append(delivery(*(event(f"evt-{number}", lane=lane) for number in numbers)))


def autoscale(*words: str, **environ: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "manage.py", "autoscale", *words],
        cwd=PROJECT,
        env={**environment(), **environ},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_a_slow_drain_gets_more_workers_and_gives_them_back_and_every_event_is_there(
    lanes: LaneKit, slow_commits: None, tmp_path: Path
) -> None:
    words = ("autoscale", "--min", "1", "--max", "3", "--target-ms", "800", "--hold-seconds", "3")
    with running_service(*words, log_path=tmp_path / "log", AUTOCOM_DATA_DIR=str(tmp_path)) as service:
        wait_for(lambda: len(workers_of(service)) == 1, what="the minimum runs")
        sent = 0
        until = time.monotonic() + 20
        while time.monotonic() < until and len(workers_of(service)) < 3:
            receive(lanes, 40, start=sent)  # about 100/s, where one worker manages 50/s
            sent += 40
            time.sleep(0.4)
        assert len(workers_of(service)) == 3, service.log()
        started = [(line["from"], line["to"]) for line in service.lines("workers_scaled")]
        assert started[0][0] == 1
        assert started[-1][1] == 3
        wait_for(lambda: Event.objects.count() == sent, what="all of it is committed", seconds=60)
        wait_for(lambda: len(workers_of(service)) == 1, what="the quiet takes them away again", seconds=60)
        (_, *changes) = service.lines("workers_scaled")
        assert {"why", "arrival_per_s", "drain_per_s", "lag_ms", "depth_count"} <= set(changes[0])
        standing = standing_of(lanes.buffer)
        assert standing is not None
        assert (standing.wanted_count, standing.minimum_count, standing.maximum_count) == (1, 1, 3)
        assert {log.name for log in (tmp_path / "logs").iterdir()} == {f"worker-{n}.log" for n in (1, 2, 3)}


def test_a_worker_that_is_not_needed_any_more_finishes_its_batch(
    lanes: LaneKit, slow_commits: None, tmp_path: Path
) -> None:
    words = ("autoscale", "--min", "1", "--max", "1")
    with running_service(*words, log_path=tmp_path / "log", AUTOCOM_DATA_DIR=str(tmp_path)) as service:
        lanes.receive("evt-first")
        wait_for(Event.objects.exists, what="the worker works")
        lanes.append(delivery(*(event(f"evt-{n}") for n in range(100))))  # two seconds' worth
        wait_for(lambda: lanes.buffer.peek(0).holder, what="the batch is in hand")
        time.sleep(0.3)
        service.process.send_signal(signal.SIGTERM)
        assert service.process.wait(timeout=20) == 0
    assert Event.objects.count() >= 100
    assert "killed" not in service.log()


def test_its_workers_end_with_it_when_it_is_killed_and_a_killed_worker_comes_back(
    lanes: LaneKit, tmp_path: Path
) -> None:
    words = ("autoscale", "--min", "2", "--max", "3")
    with running_service(*words, log_path=tmp_path / "log", AUTOCOM_DATA_DIR=str(tmp_path)) as service:
        wait_for(lambda: len(workers_of(service)) == 2, what="the minimum runs")
        first = workers_of(service)[0]
        first.kill()
        wait_for(
            lambda: len(workers_of(service)) == 2 and first.pid not in {each.pid for each in workers_of(service)},
            what="the killed worker's successor",
        )
        assert "worker 1 ended (killed by SIGKILL)" in service.log()
        family = workers_of(service)
        wait_for(lambda: all(_hears_its_parent(each) for each in family), what="they run our code")
        service.process.kill()
        service.process.wait()
        _, alive = psutil.wait_procs(family, timeout=20)
        assert alive == []


def _hears_its_parent(process: psutil.Process) -> bool:
    return (
        float(process.cpu_times().user) > 0.3
    )  # the first line of manage.py asks for it, long before Django is imported


def test_once_tells_what_it_would_do_and_starts_nothing(lanes: LaneKit, tmp_path: Path) -> None:
    done = autoscale("--once", "--json", "--min", "2", "--max", "3", AUTOCOM_DATA_DIR=str(tmp_path))
    assert done.returncode == 0, done.stderr
    told: dict[str, Any] = json.loads(done.stdout)
    assert (told["action"], told["at_maximum"], told["depth_count"]) == ("hold", False, 0)
    assert not (tmp_path / "logs").exists()
    assert standing_of(lanes.buffer) is None


def test_a_dry_run_tells_every_turn_with_figures_and_leaves_no_trace(lanes: LaneKit, tmp_path: Path) -> None:
    with running_service("autoscale", "--dry-run", "--json", log_path=tmp_path / "log") as service:
        wait_for(lambda: service.log().count("\n") >= 3, what="three turns")
        assert workers_of(service) == []
    told = [json.loads(line) for line in service.log().splitlines()]
    assert all({"action", "wanted", "why", "lag_ms", "arrival_per_s"} <= set(each) for each in told)
    assert standing_of(lanes.buffer) is None


def test_advise_publishes_the_wanted_number_without_a_worker_of_its_own(lanes: LaneKit, tmp_path: Path) -> None:
    with running_service("autoscale", "--advise", "--min", "2", "--max", "3", log_path=tmp_path / "log") as service:
        wait_for(lambda: standing_of(lanes.buffer) is not None, what="it has spoken")
        assert workers_of(service) == []
    standing = standing_of(lanes.buffer)
    assert standing is not None
    assert (standing.wanted_count, standing.alive_count) == (2, 0)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--min", "3", "--max", "2"], "--min 3 is above --max 2"),
        (["--min", "0"], "'0' is no whole number from 1 to 64"),
        (["--target-ms", "1s"], "'1s' is no whole number from 100 to 60000"),
        (["--json"], "--json needs --dry-run, --advise or --once"),
    ],
)
def test_wrong_usage_says_what_is_wrong_and_ends_with_2(words: list[str], said: str) -> None:
    done = autoscale(*words)
    assert done.returncode == 2
    assert said in done.stderr
    assert "Traceback" not in done.stderr


def test_without_redis_once_cannot_tell() -> None:
    done = autoscale("--once", REDIS_URL="redis://127.0.0.1:9/0")
    assert done.returncode == 3, done.stderr
    assert "Redis cannot be asked" in done.stdout


def test_logs_that_cannot_be_written_are_one_line(tmp_path: Path) -> None:
    (tmp_path / "logs").write_text("a file")
    done = autoscale("--min", "1", AUTOCOM_DATA_DIR=str(tmp_path))
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert "AUTOCOM_DATA_DIR" in line
