"""Full lanes, short memory and lanes behind their stream, on a real Valkey.

What is refused, when the sender is to come back, and that nobody has to help.
"""

from __future__ import annotations

import dataclasses
import itertools
import json
import time
from datetime import timedelta

import pytest

from autocom.environment import SEEN_BYTES
from autocom.kernel.clock import SYSTEM_CLOCK
from ingestion import accept, receive
from ingestion.buffer import keys
from ingestion.buffer.append import Appended, AppendLimits, Code, LaneQueue
from ingestion.buffer.memory import BufferMemory
from ingestion.buffer.store import BufferUnavailable, LaneBuffer
from ingestion.models import Event, LaneIncident
from ingestion.retry_after import retry_after_seconds
from tests.support.ingress import Answer, own_valkey, running_ingress
from tests.support.inputs import serve_alone, signed
from tests.support.lanes import LaneKit, committed, delivery, event, key_on
from tests.support.senders import event_body

ROOMY = AppendLimits(lane_bound_count=1_000_000, lane_bound_bytes=1_000_000_000, seen_bound_count=1_000_000)
NUMBERS = itertools.count()
TOTAL_BYTES = 1_500_000


def used_bytes(lanes: LaneKit) -> int:
    return int(lanes.buffer.client.info("memory")["used_memory"])


def padded(message_id: str, size_bytes: int) -> bytes:
    return json.dumps({"id": message_id, "fill": "x" * size_bytes}).encode()


def trim_away(lanes: LaneKit, count: int, *, lane: int = 0) -> int | None:
    """As if a drain had committed the oldest."""
    claim = lanes.buffer.claim(lane, token=b"test", fence_floor=0)
    assert claim is not None
    gone = lanes.buffer.read(lane, limit_count=count)
    return lanes.buffer.trim(
        claim, through_sequence=gone[-1].sequence, freed_bytes=sum(entry.size_bytes for entry in gone)
    )


# what a lane takes


@pytest.mark.parametrize("size_bytes", [20, 600, 3_500, 70_000])
@pytest.mark.parametrize("kind", ["events", "duplicates", "batches"])
def test_the_size_of_a_lane_is_the_memory_that_it_takes(lanes: LaneKit, kind: str, size_bytes: int) -> None:
    lanes.limits = ROOMY
    first = event("first", payload=padded("first", size_bytes))
    lanes.append(delivery(first))
    while lanes.buffer.peek(0).size_bytes < TOTAL_BYTES:
        name = f"evt-{next(NUMBERS)}"
        if kind == "duplicates":
            lanes.append(delivery(first))
        elif kind == "events":
            lanes.append(delivery(event(name, payload=padded(name, size_bytes))))
        else:
            parts = [event(f"{name}-{i}", payload=padded(f"{name}-{i}", size_bytes)) for i in range(3)]
            lanes.append(delivery(*parts))
    counted = lanes.buffer.peek(0).size_bytes
    before = used_bytes(lanes)
    lanes.buffer.client.execute_command("XTRIM", keys.stream(0), "MAXLEN", "=", 0)
    assert before - used_bytes(lanes) == pytest.approx(counted, rel=0.1)


def test_identities_take_no_more_than_the_settings_reckon_with(lanes: LaneKit) -> None:
    lanes.limits = ROOMY
    lanes.receive_many([f"warm-{i}" for i in range(100)])
    before, count = used_bytes(lanes), 5_000
    lanes.receive_many([f"evt-{i}" for i in range(count)])
    lanes.buffer.client.execute_command("XTRIM", keys.stream(0), "MAXLEN", "=", 0)
    assert used_bytes(lanes) - before < count * SEEN_BYTES * 1.1


# identities


@pytest.mark.django_db(transaction=True)
def test_identities_above_the_bound_are_forgotten_oldest_first_and_their_events_are_still_stored_once(
    lanes: LaneKit,
) -> None:
    lanes.limits = dataclasses.replace(ROOMY, seen_bound_count=100)
    names = [f"evt-{i}" for i in range(400)]
    lanes.receive_many(names)
    client = lanes.buffer.client
    remembered = len(client.keys(keys.seen(b"*")))
    assert 100 <= remembered == client.llen(keys.SEEN_ORDER) < 100 + 65
    (late,) = lanes.append(delivery(event("evt-0")))
    (known,) = lanes.append(delivery(event("evt-399")))
    assert (late.code, known.code) == (Code.ACCEPTED, Code.DUPLICATE)
    lanes.drain()
    assert committed() == names


def test_a_lowered_bound_is_reached_in_steps(lanes: LaneKit) -> None:
    lanes.limits = ROOMY
    lanes.receive_many([f"evt-{i}" for i in range(500)])
    lanes.limits = dataclasses.replace(ROOMY, seen_bound_count=10)
    lanes.receive("another")
    assert lanes.buffer.client.llen(keys.SEEN_ORDER) == 501 - 65
    lanes.receive_many([f"more-{i}" for i in range(50)])
    assert lanes.buffer.client.llen(keys.SEEN_ORDER) < 10 + 65


def test_redis_at_its_limit_of_memory_refuses_the_append_with_every_key_as_it_was(lanes: LaneKit) -> None:
    client = lanes.buffer.client
    lanes.limits = ROOMY
    lanes.receive_many([f"evt-{i}" for i in range(200)])
    lanes.limits = dataclasses.replace(ROOMY, seen_bound_count=1)  # so that this append would forget some, too
    before = {key: client.dump(key) for key in client.keys("*")}
    client.config_set("maxmemory", "1")
    try:
        for sent in (delivery(event("new", lane=0), event("other", lane=1)), delivery(event("evt-0"))):
            with pytest.raises(BufferUnavailable, match=r"OOM|OutOfMemory"):
                lanes.append(sent)
    finally:
        client.config_set("maxmemory", "0")
    assert {key: client.dump(key) for key in client.keys("*")} == before


# when to come back


def refused(lanes: LaneKit) -> LaneQueue:
    (answer,) = lanes.append(delivery(event(f"evt-{next(NUMBERS)}")))
    assert answer == Appended(Code.FULL, queue=answer.queue)
    assert answer.queue is not None
    return answer.queue


def test_a_full_lane_tells_how_long_it_will_take_at_the_measured_rate(lanes: LaneKit) -> None:
    lanes.limits = ROOMY
    lanes.receive_many([f"evt-{i}" for i in range(600)])
    trim_away(lanes, 20)
    rates = []
    for _ in range(8):
        started = time.monotonic()
        time.sleep(0.05)
        trim_away(lanes, 20)
        rates.append(20 / (time.monotonic() - started))
    lanes.limits = dataclasses.replace(ROOMY, lane_bound_count=400)
    queue = refused(lanes)
    assert queue.excess_count == 420 - 360
    assert min(rates) * 0.7 < queue.drained_per_second < max(rates) * 1.3
    assert queue.wait_seconds == pytest.approx(60 / queue.drained_per_second)


def test_a_lane_full_by_bytes_counts_the_entries_above_its_mark(lanes: LaneKit) -> None:
    lanes.limits = ROOMY
    lanes.receive_many([f"evt-{i:03}" for i in range(200)])
    size_bytes = lanes.buffer.peek(0).size_bytes
    lanes.limits = dataclasses.replace(ROOMY, lane_bound_bytes=size_bytes)
    assert refused(lanes).excess_count == pytest.approx(20, abs=1)


def test_a_lane_that_keeps_up_measures_nothing_as_that_would_be_its_senders_rate(lanes: LaneKit) -> None:
    for turn in range(5):
        lanes.receive_many([f"evt-{turn}-{i}" for i in range(3)])
        trim_away(lanes, 3)
    lanes.limits = dataclasses.replace(ROOMY, lane_bound_count=0)
    queue = refused(lanes)
    assert (queue.drained_per_second, queue.wait_seconds) == (0.0, 0.0)


def test_a_resting_lane_tells_the_time_until_its_next_attempt(lanes: LaneKit) -> None:
    lanes.receive("evt-1")
    claim = lanes.buffer.claim(0, token=b"test", fence_floor=0)
    assert claim is not None
    rest = timedelta(seconds=20)
    lanes.buffer.back_off(claim, rest=rest, next_attempt_us=SYSTEM_CLOCK.now_us() + 20_000_000, error="gone")
    lanes.limits = dataclasses.replace(ROOMY, lane_bound_count=1)
    assert refused(lanes).wait_seconds == pytest.approx(20, abs=2)


@pytest.mark.parametrize(
    ("wait_seconds", "least", "most"), [(0, 2, 4), (0.1, 1, 2), (1, 1, 3), (10, 10, 15), (40, 40, 60), (9_999, 40, 60)]
)
def test_refused_senders_are_spread_over_whole_seconds_between_1_and_60(
    wait_seconds: float, least: int, most: int
) -> None:
    told = {retry_after_seconds(wait_seconds) for _ in range(500)}
    assert min(told) >= least
    assert max(told) <= most
    assert len(told) > 1


# a lane behind its stream


@pytest.mark.django_db(transaction=True)
def test_a_lane_whose_state_is_older_than_its_stream_counts_on_and_keeps_its_order(lanes: LaneKit) -> None:
    lanes.receive_many(["evt-1", "evt-2", "evt-3", "evt-4"])
    lanes.buffer.client.hset(keys.state(0), "sequence", "2")
    assert [receipt.sequence for receipt in lanes.receive_many(["evt-5", "evt-6"])] == [5, 6]
    lanes.drain()
    assert committed() == [f"evt-{i}" for i in range(1, 7)]
    assert not LaneIncident.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_a_lane_that_somebody_else_wrote_to_goes_on_and_the_missing_sequences_are_an_incident(lanes: LaneKit) -> None:
    lanes.receive("evt-1")
    lanes.buffer.client.execute_command("XADD", keys.stream(0), "57-3", "k", "no entry of ours")
    both = lanes.append(delivery(event("evt-2", lane=0), event("evt-3", lane=1)))
    assert [each.receipt.sequence for each in both if each.receipt] == [58, 1]
    assert lanes.receive("evt-4").sequence == 59
    lanes.drain()
    assert committed() == ["evt-1", "evt-2", "evt-4"]
    gaps = LaneIncident.objects.filter(kind=LaneIncident.Kind.GAP)
    assert list(gaps.values_list("first_sequence", "last_sequence")) == [(2, 56)]


@pytest.mark.django_db(transaction=True)
def test_a_lane_that_lost_its_state_and_kept_its_stream_goes_on_in_a_new_epoch(lanes: LaneKit) -> None:
    lanes.receive_many(["evt-1", "evt-2"])
    lanes.drain()
    lanes.buffer.client.delete(keys.state(0))
    assert lanes.receive("evt-3").sequence == 3
    lanes.let_lease_expire()
    lanes.drain()
    assert committed() == ["evt-1", "evt-2", "evt-3"]
    assert LaneIncident.Kind.NEW_EPOCH in set(LaneIncident.objects.values_list("kind", flat=True))


# recovery


@pytest.mark.django_db(transaction=True)
def test_a_lane_that_filled_up_while_nobody_drained_takes_events_again_once_somebody_did(
    lanes: LaneKit, monkeypatch: pytest.MonkeyPatch
) -> None:
    limits = dataclasses.replace(ROOMY, lane_bound_count=20)
    monkeypatch.setattr(accept, "append_limits", lambda: limits)
    names = [f"evt-{i}" for i in range(20)]
    assert {send(name).status for name in names} == {202}
    full = send("too-much")
    assert (full.status, full.code) == (503, "lane_full")
    assert 1 <= int(full.headers["retry-after"]) <= 4  # nothing was measured yet
    lanes.drain()
    assert send("too-much").status == 202
    lanes.drain()
    assert committed() == [*names, "too-much"]


def send(message_id: str) -> Answer:
    return serve_alone(signed(event_body(message_id, ordering_key=key_on(0))))


@pytest.mark.django_db(transaction=True)
def test_deliveries_are_refused_while_drains_still_have_memory_to_work_with(
    lanes: LaneKit, monkeypatch: pytest.MonkeyPatch
) -> None:
    memory = BufferMemory()
    monkeypatch.setattr(receive, "MEMORY", memory)
    client = lanes.buffer.client
    assert send("evt-1").status == 202
    client.config_set("maxmemory", str(used_bytes(lanes) + 50_000))
    try:
        memory.look(client)
        full = send("evt-2")
        assert (full.status, full.code) == (503, "buffer_full")
        assert int(full.headers["retry-after"]) >= 1
        assert lanes.drain().outcome == "emptied"
    finally:
        client.config_set("maxmemory", "0")
    memory.look(client)
    assert send("evt-2").status == 202
    assert Event.objects.count() == 1


def test_a_redis_without_a_limit_is_never_short(buffer: LaneBuffer) -> None:
    memory = BufferMemory()
    memory.look(buffer.client)
    assert memory.used_bytes > 0
    assert not memory.is_short


def test_the_ingress_sees_memory_run_short_and_come_back_by_itself() -> None:
    with own_valkey() as valkey, running_ingress(redis_url=valkey.url) as ingress:

        def status_becomes(status: int) -> Answer:
            deadline = time.monotonic() + 10
            while (answer := ingress.post(event_body(f"evt-{next(NUMBERS)}"))).status != status:
                assert time.monotonic() < deadline, answer
                time.sleep(0.1)
            return answer

        status_becomes(202)
        limit = int(str(valkey.client.config_get("maxmemory")["maxmemory"]))
        assert limit == 1_073_741_824  # the local server has one
        used = int(valkey.client.info("memory")["used_memory"])
        valkey.client.config_set("maxmemory", str(int(used * 1.05)))
        assert status_becomes(503).code == "buffer_full"
        assert valkey.client.set("drains", "still write")
        valkey.client.config_set("maxmemory", str(limit))
        status_becomes(202)
