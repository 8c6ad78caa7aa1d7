"""`manage.py worker` as a process: what it leaves at SIGTERM, and what it survives."""

from __future__ import annotations

import os
import pickle
import signal
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path

import pytest
from rq import Queue, Worker
from rq.registry import FailedJobRegistry, StartedJobRegistry
from rq.serializers import JSONSerializer

from autocom.local_servers.servers import LocalServers
from ingestion.buffer import keys
from ingestion.buffer.store import LaneBuffer, redis_client
from ingestion.drain import STOP
from ingestion.models import Event
from ingestion.sweep import sweep_lanes
from ingestion.worker import cron, drain_worker
from tests.support.lanes import LANES, LaneKit, assert_every_batch_is_proved, committed, delivery, event
from tests.support.workers import end_other_backends, other_connection, running_worker, stop, wait_for

pytestmark = pytest.mark.django_db(transaction=True)


def drain_queue(lanes: LaneKit) -> Queue:
    return Queue(keys.DRAIN_QUEUE, connection=lanes.buffer.client, serializer=JSONSerializer)


def assert_rq_is_clean(lanes: LaneKit) -> None:
    """No job failed, none is left half-done. RQ does its books after the lane is given up, perhaps a moment later."""
    queue = drain_queue(lanes)
    wait_for(lambda: StartedJobRegistry(queue=queue).count == 0, what="no job is left started")
    assert FailedJobRegistry(queue=queue).count == 0
    assert lanes.buffer.client.exists(queue.intermediate_queue_key) == 0


def swept(lanes: LaneKit, count: int) -> bool:
    """One round of the sweeper, as cron makes it; True when so many events are committed and nothing waits."""
    sweep_lanes(lanes.buffer, lane_count=LANES)
    return len(committed()) == count and not lanes.waiting()


@contextmanager
def lane_row_locked(lane: int = 0) -> Iterator[None]:
    """Holds the lane's row, so that a drain waits inside its transaction; released at the end."""
    with other_connection() as other, other.transaction():
        other.execute("SELECT 1 FROM ingestion_lane WHERE number = %s FOR UPDATE", [lane])
        yield


def drain_is_waiting() -> bool:
    with other_connection() as other:
        row = other.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
        ).fetchone()
    return row is not None and row[0] > 0


def receive_many(lanes: LaneKit, count: int, *, start: int = 0) -> None:
    for first in range(start, start + count, 100):
        lanes.append(delivery(*(event(f"evt-{first + i}") for i in range(100))))


def test_sigterm_in_a_long_drain_ends_it_after_the_batch_in_hand_with_the_lane_handed_back(lanes: LaneKit) -> None:
    lanes.receive("evt-first")
    lanes.drain()
    lanes.buffer.client.delete(keys.rq_queue(keys.DRAIN_QUEUE))
    receive_many(lanes, 700)
    with running_worker() as worker:
        with lane_row_locked():
            wait_for(drain_is_waiting, what="the worker is inside its transaction")
            worker.send_signal(signal.SIGTERM)
        assert worker.wait(timeout=15) == 0
    assert Event.objects.count() == 501
    peek = lanes.buffer.peek(0)
    assert (peek.depth_count, peek.holder, peek.is_due) == (200, "", True)
    assert len(lanes.jobs()) == 1
    assert Worker.all(connection=lanes.buffer.client) == []
    assert_rq_is_clean(lanes)
    with running_worker():
        wait_for(lambda: Event.objects.count() == 701, what="the next worker commits the rest")
        wait_for(lanes.is_idle, what="the lane is idle")
    assert committed() == ["evt-first", *(f"evt-{i}" for i in range(700))]
    assert_rq_is_clean(lanes)


def test_an_idle_worker_ends_at_sigterm_and_its_registration_with_it(lanes: LaneKit) -> None:
    with running_worker() as worker:
        wait_for(lambda: Worker.all(connection=lanes.buffer.client), what="the worker is registered")
        assert stop(worker, seconds=15) == 0
    assert Worker.all(connection=lanes.buffer.client) == []
    assert_rq_is_clean(lanes)


def test_a_worker_asked_to_stop_while_it_registers_takes_no_job(lanes: LaneKit) -> None:
    """RQ hears signals only after it has registered; what came before must not be forgotten."""
    lanes.receive("evt-1")
    STOP.set()
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        drain_worker(queue=keys.DRAIN_QUEUE, name="late").work(max_idle_time=1, logging_level="ERROR")
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    assert len(lanes.jobs()) == 1
    assert Worker.all(connection=lanes.buffer.client) == []


def test_a_worker_killed_in_its_transaction_is_replaced_and_nothing_is_lost_or_doubled(lanes: LaneKit) -> None:
    lanes.receive("evt-first")
    lanes.drain()
    receive_many(lanes, 100)
    with running_worker() as worker:
        with lane_row_locked():
            wait_for(drain_is_waiting, what="the worker is inside its transaction")
            worker.kill()
            worker.wait(timeout=10)
        with running_worker():
            lanes.let_lease_expire()
            assert sweep_lanes(lanes.buffer, lane_count=LANES) == 1
            wait_for(lambda: Event.objects.count() == 101, what="another worker commits")
            wait_for(lanes.is_idle, what="the lane is idle")
    assert committed() == ["evt-first", *(f"evt-{i}" for i in range(100))]
    assert_every_batch_is_proved()


def test_a_worker_whose_database_connection_was_cut_commits_its_next_job(lanes: LaneKit) -> None:
    with running_worker():
        lanes.receive("evt-1")
        wait_for(lambda: committed() == ["evt-1"], what="the first event is committed")
        wait_for(lanes.is_idle, what="the lane is idle")
        assert end_other_backends() > 0
        lanes.receive("evt-2")
        wait_for(lambda: len(committed()) == 2, what="the second event is committed")
        wait_for(lanes.is_idle, what="the lane is idle")
        assert_rq_is_clean(lanes)


@pytest.mark.parametrize("is_at_work", [False, True], ids=["idle", "in its transaction"])
def test_a_worker_whose_redis_was_killed_and_came_back_commits_what_comes_next(
    tmp_path: Path, is_at_work: bool
) -> None:
    tmp_path.chmod(0o755)
    for parent in tmp_path.parents[:2]:
        parent.chmod(0o755)  # the servers' own user must get through
    servers = LocalServers.start(tmp_path, durable=True, postgres=False)
    try:
        assert servers.valkey is not None
        url = f"unix://{servers.valkey.socket_path}?db=0"
        lanes = LaneKit(buffer=LaneBuffer(client=redis_client(url)))
        with running_worker(redis_url=url) as worker:
            lanes.receive("evt-1")
            wait_for(lambda: committed() == ["evt-1"], what="the first event is committed")
            wait_for(lanes.is_idle, what="the lane is idle")
            pid = lanes.buffer.client.info("server")["process_id"]
            with lane_row_locked() if is_at_work else nullcontext():
                lanes.receive("evt-2")
                if is_at_work:
                    wait_for(drain_is_waiting, what="the worker is inside its transaction")
                os.kill(pid, signal.SIGKILL)
            wait_for(lambda: servers.revive() and not servers.is_reviving, what="Redis is back")
            wait_for(lambda: swept(lanes, 2), what="the second event is committed")
            lanes.receive("evt-3")
            wait_for(lambda: swept(lanes, 3), what="the third event is committed")
            assert committed() == ["evt-1", "evt-2", "evt-3"]
            assert FailedJobRegistry(queue=drain_queue(lanes)).count == 0
            assert worker.poll() is None
            assert stop(worker, seconds=15) == 0
    finally:
        servers.stop()


def test_cron_puts_the_sweep_on_the_ops_queue_and_an_ops_worker_rings_the_lane(lanes: LaneKit) -> None:
    lanes.receive("evt-1")
    lanes.buffer.client.delete(keys.rq_queue(keys.DRAIN_QUEUE))
    lanes.let_lease_expire()
    cron().enqueue_jobs()
    drain_worker(queue=keys.OPS_QUEUE, name="ops-test").work(burst=True, logging_level="ERROR")
    (job,) = lanes.jobs()
    assert job.startswith("sweep-0-")
    assert FailedJobRegistry(keys.OPS_QUEUE, connection=lanes.buffer.client, serializer=JSONSerializer).count == 0


@dataclass
class MakesFolder:
    """What runs when it is unpickled."""

    path: str

    def __reduce__(self) -> tuple[Callable[[str], None], tuple[str]]:
        return os.mkdir, (self.path,)


def test_a_pickle_on_a_queue_is_not_run(lanes: LaneKit, tmp_path: Path) -> None:
    poison = pickle.dumps(MakesFolder(str(tmp_path / "ran")))
    queue = Queue(keys.OPS_QUEUE, connection=lanes.buffer.client, serializer=JSONSerializer)
    job = queue.enqueue("ingestion.jobs.sweep")
    lanes.buffer.client.hset(job.key, "data", zlib.compress(poison))
    drain_worker(queue=keys.OPS_QUEUE, name="ops-test").work(burst=True, logging_level="CRITICAL")
    assert queue.count == 0
    assert not (tmp_path / "ran").exists()
    pickle.loads(poison)  # noqa: S301  (it is alive: whoever reads it runs it)
    assert (tmp_path / "ran").exists()
