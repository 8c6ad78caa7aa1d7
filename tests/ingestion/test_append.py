"""The append step: what it needs of RQ, and what it leaves when Redis refuses halfway."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
from rq import Queue, SimpleWorker
from rq.registry import FailedJobRegistry
from rq.serializers import JSONSerializer

from ingestion.buffer import keys
from ingestion.buffer.append import AppendLimits, Code, EntryKind
from ingestion.buffer.store import BufferUnavailable
from ingestion.worker import rq_client
from tests.support.lanes import LaneKit, committed, delivery, event, key_on


@pytest.mark.django_db(transaction=True)
def test_a_drain_job_made_by_the_append_runs_on_a_stock_rq_worker_and_commits(lanes: LaneKit) -> None:
    lanes.receive_many(["evt-1", "evt-2"])
    client = rq_client()
    queue = Queue(keys.DRAIN_QUEUE, connection=client, serializer=JSONSerializer)
    (job,) = queue.get_jobs()
    assert (job.func_name, job.args, job.origin) == ("ingestion.jobs.drain", [0], keys.DRAIN_QUEUE)
    worker = SimpleWorker([queue], connection=client, serializer=JSONSerializer)
    assert worker.work(burst=True, logging_level="ERROR")
    assert FailedJobRegistry(queue=queue).count == 0
    assert committed() == ["evt-1", "evt-2"]
    assert lanes.is_idle()
    assert not client.exists(keys.rq_job(job.id.encode()))  # result_ttl 0: a wake-up leaves nothing behind


def test_every_key_that_a_delivery_makes_carries_the_one_hash_tag(lanes: LaneKit) -> None:
    lanes.append(delivery(event("evt-1", lane=0), event("evt-2", lane=1)))
    found: list[bytes] = lanes.buffer.client.execute_command("KEYS", "*")
    assert found
    assert [key for key in found if not key.startswith(keys.TAG)] == []
    assert keys.rq_queue(keys.DRAIN_QUEUE) in found


def test_the_same_event_sent_three_times_at_once_is_on_its_lane_once_under_one_receipt(lanes: LaneKit) -> None:
    for turn in range(10):
        posts = [lanes.words(delivery(event(f"evt-{turn}"))) for _ in range(3)]
        with ThreadPoolExecutor(3) as pool:
            answers = [answer for (answer,) in pool.map(lanes.buffer.append, posts)]
        assert sorted(int(str(answer[0])) for answer in answers) == [0, 1, 1]
    kinds = [entry.kind for entry in lanes.waiting()]
    assert kinds.count(EntryKind.EVENT) == 10
    assert kinds.count(EntryKind.DUPLICATE) == 20


def test_a_duplicate_inside_one_delivery_gets_the_receipt_of_the_first(lanes: LaneKit) -> None:
    first, second = lanes.append(delivery(event("evt-1"), event("evt-1")))
    assert (first.code, second.code) == (Code.ACCEPTED, Code.DUPLICATE)
    assert first.receipt == second.receipt


def test_a_delivery_that_partly_found_its_lane_full_ends_complete_when_it_is_sent_again(lanes: LaneKit) -> None:
    lanes.limits = AppendLimits(lane_bound_count=1, lane_bound_bytes=1_000_000, seen_bound_count=1_000_000)
    parts = [event("evt-1", lane=0), event("evt-2", lane=0), event("evt-3", lane=1)]
    assert [each.code for each in lanes.append(delivery(*parts))] == [Code.ACCEPTED, Code.FULL, Code.ACCEPTED]
    lanes.limits = None
    assert [each.code for each in lanes.append(delivery(*parts))] == [Code.DUPLICATE, Code.ACCEPTED, Code.DUPLICATE]
    events = [entry.meta for lane in (0, 1) for entry in lanes.waiting(lane) if entry.kind is EntryKind.EVENT]
    assert len(events) == 3


def test_a_thousand_events_in_one_delivery_are_all_promised_in_order(lanes: LaneKit) -> None:
    sent = delivery(*(event(f"evt-{i}", lane=i % 2) for i in range(1_000)))
    receipts = [each.receipt for each in lanes.append(sent)]
    assert [r.sequence for r in receipts if r and r.lane == 0] == list(range(1, 501))
    assert [r.sequence for r in receipts if r and r.lane == 1] == list(range(1, 501))
    assert len(lanes.jobs()) == 2


def test_a_script_that_redis_forgot_is_loaded_again_without_a_word(lanes: LaneKit) -> None:
    lanes.receive("evt-1")
    lanes.buffer.client.script_flush()
    assert lanes.receive("evt-2").sequence == 2


@pytest.mark.parametrize(
    "key",
    [keys.stream(1), keys.state(1), keys.RQ_QUEUES, keys.rq_queue(keys.DRAIN_QUEUE), keys.SEEN_ORDER],
    ids=["stream", "state", "rq queues", "rq queue", "order of identities"],
)
def test_a_key_of_a_wrong_type_refuses_the_whole_delivery_before_the_first_write(lanes: LaneKit, key: bytes) -> None:
    client = lanes.buffer.client
    client.set(key, "not what it should be")
    before = sorted(client.keys("*"))
    with pytest.raises(BufferUnavailable, match="WRONGTYPE"):
        lanes.append(delivery(event("evt-1", lane=0), event("evt-2", lane=1)))
    assert sorted(client.keys("*")) == before


def test_memory_at_its_limit_refuses_the_whole_delivery(lanes: LaneKit) -> None:
    client = lanes.buffer.client
    lanes.receive("evt-1")
    client.config_set("maxmemory", "1")
    try:
        with pytest.raises(BufferUnavailable, match=r"OOM|OutOfMemory"):
            lanes.append(delivery(event("evt-2", lane=0), event("evt-3", lane=1)))
    finally:
        client.config_set("maxmemory", "0")
    assert [entry.sequence for entry in lanes.waiting()] == [1]
    assert lanes.waiting(1) == []
    assert lanes.receive("evt-2").sequence == 2


def test_one_ordering_key_rides_one_lane(lanes: LaneKit) -> None:
    receipts = lanes.receive_many(["evt-1", "evt-2", "evt-3"], lane=2)
    assert {receipt.lane for receipt in receipts} == {2}
    assert key_on(2) != key_on(3)
