"""The only way onto RQ's queues. A job is a wake-up call: losing or repeating one loses and repeats nothing else."""

from enum import Enum
from functools import cache
from itertools import chain

from redis import Redis
from rq.job import Job, JobStatus
from rq.serializers import JSONSerializer

from ingestion.buffer import keys

DRAIN_FUNCTION = "ingestion.jobs.drain"
JOB_TIMEOUT_SECONDS = 45  # above a drain's own budget and a statement's limit; below the 60 s that a 202 promises


@cache
def drain_job_fields(lane: int) -> tuple[bytes, ...]:
    """Field, value, field, value, … of RQ's own serialised job for draining this lane.

    RQ makes it, so its format stays RQ's; a contract test runs such a job on a stock worker. The time in `created_at`
    is that of the template.
    """
    job = Job.create(
        DRAIN_FUNCTION,
        args=(lane,),
        id="template",
        connection=Redis(),  # never connects: the job is serialised here and not saved
        serializer=JSONSerializer,
        result_ttl=0,
        failure_ttl=3_600,
        timeout=JOB_TIMEOUT_SECONDS,
        origin=keys.DRAIN_QUEUE,
        status=JobStatus.QUEUED,
        description=f"drain lane {lane}",
    )
    fields = {**job.to_dict(), "enqueued_at": job.to_dict()["created_at"]}
    return tuple(_as_bytes(word) for word in chain.from_iterable(fields.items()))


def _as_bytes(word: object) -> bytes:
    if isinstance(word, bytes):
        return word
    return str(word.value if isinstance(word, Enum) else word).encode()
