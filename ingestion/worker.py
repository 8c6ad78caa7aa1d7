"""RQ's worker as autocom runs it: one queue, no fork, a warm database connection, and a drain that hears SIGTERM."""

from __future__ import annotations

import logging
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from itertools import count
from typing import Any, override
from uuid import UUID

from django.conf import settings
from redis import Redis, RedisError
from redis.backoff import NoBackoff
from redis.retry import Retry
from rq import Queue, SimpleWorker
from rq.cron import CronJob, CronScheduler
from rq.exceptions import StopRequested
from rq.job import Job
from rq.serializers import JSONSerializer
from rq.worker import WorkerStatus

from autocom.build import build
from autocom.kernel.clock import SYSTEM_CLOCK
from autocom.kernel.ids import new_request_id
from ingestion import jobs
from ingestion.buffer import keys
from ingestion.drain import STOP

WORKER_TTL_SECONDS = 20  # RQ asks Redis 15 seconds sooner: within 5 a cut connection or a stop is noticed
MAINTENANCE_SECONDS = 60
SWEEP_EVERY_SECONDS = 2
ROLL_UP_EVERY_SECONDS = 20
RETENTION_EVERY_SECONDS = 20
ROLL_UP_BY_HOUR_EVERY_SECONDS = 600
MERGE_LATENCIES_EVERY_SECONDS = 60
NEXT_LIFE_SECONDS = 1.0
# what cron puts on the ops queue, and how often; the apps above add theirs when they start
PERIODIC: dict[Callable[[], object], int] = {
    jobs.sweep: SWEEP_EVERY_SECONDS,
    jobs.roll_up: ROLL_UP_EVERY_SECONDS,
    jobs.roll_up_by_hour: ROLL_UP_BY_HOUR_EVERY_SECONDS,
    jobs.merge_latencies: MERGE_LATENCIES_EVERY_SECONDS,
    jobs.retention: RETENTION_EVERY_SECONDS,
}

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class EndedJob:
    """`name` is that of the function. Not done: it raised, or took longer than it may. `run_id`: of this one time."""

    name: str
    is_done: bool
    took_seconds: float
    queue: str
    run_id: UUID
    began_us: int


JOB_LISTENERS: list[Callable[[EndedJob], None]] = []


class DrainWorker(SimpleWorker):
    """Runs jobs in its own process.

    A fork for each would cost more than the batch it commits, and lose the connection.
    """

    max_connection_wait_time = 2.0  # back within seconds when Redis is, where RQ would sleep for up to a minute
    log_result_lifespan = False
    log_job_description = False

    @override
    def register_birth(self) -> None:
        super().register_birth()  # type: ignore[no-untyped-call]
        self.connection.hset(self.key, keys.BUILD_FIELD, build())  # after a release: who runs the old code still?

    @override
    def perform_job(self, job: Job, queue: Queue, execution: Any) -> bool:
        began, began_us = time.monotonic(), SYSTEM_CLOCK.now_us()
        is_done: bool = super().perform_job(job, queue, execution)
        ended = EndedJob(
            name=str(job.func_name).rpartition(".")[2],
            is_done=is_done,
            took_seconds=time.monotonic() - began,
            queue=queue.name,
            run_id=new_request_id(now_us=began_us),
            began_us=began_us,
        )
        for listener in JOB_LISTENERS:
            try:
                listener(ended)
            except Exception:
                log.exception("job_not_told")
        return is_done

    @override
    def request_stop(self, signum: int, frame: Any) -> None:
        STOP.set()  # the drain at work ends after the batch in hand
        self._stop_requested = True  # RQ raises its wish while idle, and whoever swallows that would make it forget
        super().request_stop(signum, frame)  # type: ignore[no-untyped-call]

    @override
    def heartbeat(self, timeout: int | None = None, pipeline: Any = None) -> None:
        """RQ comes by here between jobs, also while it waits for one: the place to end when asked."""
        if self._stop_requested and self.get_state() == WorkerStatus.IDLE:
            raise StopRequested
        super().heartbeat(timeout, pipeline)

    @override
    def _install_signal_handlers(self) -> None:
        super()._install_signal_handlers()  # type: ignore[no-untyped-call]
        if STOP.is_set():  # asked while it registered
            self._stop_requested = True


class JsonCronJob(CronJob):
    """RQ's cron job on a queue that speaks JSON: RQ's own would put a pickle there, and a pickle runs code."""

    @override
    def enqueue(self, connection: Redis) -> Job:
        queue = Queue(self.queue_name, connection=connection, serializer=JSONSerializer)
        assert self.func is not None  # noqa: S101  (only monitoring makes cron jobs without one)
        return queue.enqueue(self.func, args=self.args, kwargs=self.kwargs, **self.job_options)


class Cron(CronScheduler):
    """One replica only: RQ's scheduler takes no leader lock. Two would only ring twice."""

    _is_asked_to_stop = False

    @override
    def _request_stop(self, signum: int, frame: Any) -> None:
        self._is_asked_to_stop = True  # as in DrainWorker: the exception alone may be swallowed
        super()._request_stop(signum, frame)  # type: ignore[no-untyped-call]

    @override
    def heartbeat(self) -> None:
        if self._is_asked_to_stop:
            raise StopRequested
        super().heartbeat()

    def every(self, seconds: int, func: Any) -> None:
        """Due every so many seconds on the ops queue; a job nobody starts within three rounds goes away."""
        self._cron_jobs.append(
            JsonCronJob(
                queue_name=keys.OPS_QUEUE,
                func=func,
                name=func.__name__,
                interval=seconds,
                ttl=3 * seconds,
                result_ttl=0,
                failure_ttl=3_600,
            )
        )


def rq_client() -> Redis:
    """A client of its own for RQ, which raises timeouts of connections not made yet."""
    return Redis.from_url(settings.AUTOCOM.redis_url, retry=Retry(NoBackoff(), 0), socket_connect_timeout=1, protocol=2)


def drain_worker(*, queue: str, name: str) -> DrainWorker:
    client = rq_client()
    return DrainWorker(
        [Queue(queue, connection=client, serializer=JSONSerializer)],
        name=name,
        connection=client,
        serializer=JSONSerializer,
        maintenance_interval=MAINTENANCE_SECONDS,
        worker_ttl=WORKER_TTL_SECONDS,
    )


def work_until_stopped(*, queue: str, name: str) -> None:
    """Runs jobs until SIGTERM or SIGINT.

    RQ's worker gives up when Redis goes away while it does its books. A new one takes over here, under a name of its
    own, as nobody could
    strike the old name off Redis's list; it goes by itself.
    """
    for life in count():
        _hear_stop()
        try:
            drain_worker(queue=queue, name=f"{name}.{life}" if life else name).work(logging_level="WARNING")
        except RedisError as error:
            log.warning("worker_without_redis", extra={"error": str(error)})
        finally:
            _hear_stop()  # in place of the handlers of a worker that has ended
        if STOP.wait(NEXT_LIFE_SECONDS):
            return


def _hear_stop() -> None:
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: STOP.set())


def cron() -> Cron:
    scheduler = Cron(connection=rq_client())
    for func, seconds in PERIODIC.items():
        scheduler.every(seconds, func)
    return scheduler
