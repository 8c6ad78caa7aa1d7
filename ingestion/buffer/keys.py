"""Every key that autocom keeps in Redis, with type and life.

One hash tag, so that one script may touch lanes and RQ's queue.
"""

from rq.defaults import RQ_KEY_PREFIX
from rq.queue import Queue

TAG = b"{autocom}:"
RQ_QUEUES = Queue.redis_queues_keys.encode()  # set, RQ's own
RQ_JOB_PREFIX = f"{RQ_KEY_PREFIX}:job:".encode()  # hash a job, RQ's own
LANE_COUNT = TAG + b"lanes"  # string, no expiry: how many lanes this installation hashes to
LAYOUT = TAG + b"layout"  # string, no expiry: version of this layout
SEEN_ORDER = TAG + b"seen-order"  # list, no expiry, bounded: identities whose `seen` key was set, oldest first
SEEN_DROPPED = SEEN_ORDER + b"-dropped"  # string, no expiry: how many identities left the list's old end
DRAIN_QUEUE = "drain"
OPS_QUEUE = "ops"
BUILD_FIELD = "autocom_build"  # in the hash of a worker, RQ's own otherwise


def lane(number: int) -> bytes:
    return TAG + b"lane:%d:" % number


def stream(number: int) -> bytes:
    """Stream, no expiry: entries that wait, id `<sequence>-0`."""
    return lane(number) + b"stream"


def state(number: int) -> bytes:
    """Hash, no expiry: epoch, sequence, bytes, fence, rate (entries drained a 1,000 s).

    While entries queue up also trimmed_us; while backing off attempt, retry_at_us, resting_since_us, error; while
    paused paused_us, a note of what PostgreSQL says.
    """
    return lane(number) + b"state"


def wake(number: int) -> bytes:
    """String, expires: held while a drain job is due or at work, or until the next attempt while backing off."""
    return lane(number) + b"wake"


def lease(number: int) -> bytes:
    """String, expires: the token of the drainer at work."""
    return lane(number) + b"lease"


def seen(identity: bytes) -> bytes:
    """String, expires after the dedupe window, or is forgotten sooner as one of too many.

    Content digest and receipt of the event with this identity.
    """
    return TAG + b"seen:" + identity


def token(digest: bytes) -> bytes:
    """String, expires after the dedupe window: identity of the one event that a single-use token vouched for, its
    content digest and receipt."""
    return TAG + b"token:" + digest


def rq_queue(name: str) -> bytes:
    """List, RQ's own."""
    return f"{Queue.redis_queue_namespace_prefix}{name}".encode()


def rq_failed(name: str) -> bytes:
    """Sorted set, RQ's own."""
    return f"{RQ_KEY_PREFIX}:failed:{name}".encode()


def rq_job(job_id: bytes) -> bytes:
    return RQ_JOB_PREFIX + job_id


LOGS = TAG + b"logs"  # hash, expires: how far each log is sealed, while somebody looks
AUTOSCALER = TAG + b"autoscaler"  # hash, expires: workers wanted and why, while an autoscaler runs
METRICS = TAG + b"metrics"  # hash, no expiry: running totals for Prometheus
PROMISES = TAG + b"promises"  # hash, no expiry: how far promises were compared with rows, and what was found
