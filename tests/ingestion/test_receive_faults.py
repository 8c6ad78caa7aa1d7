"""Redis stalled, gone, full, read-only or broken: never a 202, soon a 503, nothing half stored; then well by itself.

Every test runs twice: against the real ingress, which commits acks as a group, and through Django's own handler, which
commits each alone. The ingress has a database that nobody can reach: the ack path never asks it.
"""

from __future__ import annotations

import dataclasses
import itertools
import json
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest

from ingestion import accept, receive
from ingestion.accept import promise_keys
from ingestion.buffer import keys
from ingestion.buffer.append import EntryKind
from ingestion.buffer.store import LaneBuffer, redis_client
from ingestion.identify import identity_of
from ingestion.receipts import read_receipt
from tests.support.ingress import Answer, Ingress, OwnValkey, own_valkey, running_ingress
from tests.support.inputs import batch_body, good, serve_alone, signed
from tests.support.senders import event_body

pytestmark = pytest.mark.urls("autocom.ingress_urls")
ACK_SECONDS = 1.0
SLACK_SECONDS = 2.0  # other tests run on the same cores
NUMBERS = itertools.count()


@dataclass(slots=True)
class Serving:
    """One way of being served, and the Redis behind it."""

    name: str
    send: Callable[[bytes], Answer]
    valkey: OwnValkey

    def post(self, message_id: str) -> Answer:
        return self.send(event_body(message_id))


@pytest.fixture(scope="module")
def shared_valkey() -> Iterator[OwnValkey]:
    with own_valkey() as valkey:
        yield valkey


@pytest.fixture(scope="module")
def ingress(shared_valkey: OwnValkey) -> Iterator[Ingress]:
    """Its database does not exist."""
    with running_ingress(redis_url=shared_valkey.url) as ingress:
        yield ingress


@pytest.fixture
def valkey(shared_valkey: OwnValkey) -> OwnValkey:
    shared_valkey.empty()
    return shared_valkey


@pytest.fixture(params=["group", "alone"])
def serving(request: pytest.FixtureRequest, valkey: OwnValkey, monkeypatch: pytest.MonkeyPatch) -> Serving:
    if request.param == "group":
        ingress: Ingress = request.getfixturevalue("ingress")
        return Serving("group", lambda body: ingress.send(signed(body).as_bytes()), valkey)
    lanes = LaneBuffer(client=redis_client(valkey.url))
    monkeypatch.setattr(receive, "lane_buffer", lambda: lanes)
    return Serving("alone", lambda body: serve_alone(signed(body)), valkey)


def fresh_id() -> str:
    return f"fault-{next(NUMBERS)}"


def assert_refused_for_now(answer: Answer) -> None:
    assert (answer.status, answer.code) == (503, "buffer_unavailable")
    assert int(answer.headers["retry-after"]) >= 1
    assert answer.json()["request_id"]


def commands_during(valkey: OwnValkey, act: Callable[[], None]) -> list[str]:
    """The name of every command that a client sent meanwhile.

    What scripts call is left out, and the look at memory that housekeeping takes each second, apart from any request.
    """
    last_word = valkey.client
    last_word.ping()  # connected before the watch begins
    with valkey.client.monitor() as monitor:
        act()
        last_word.echo("that-was-all")
        seen: list[str] = []
        while True:
            heard = monitor.next_command()
            words = heard["command"].split()
            if "that-was-all" in heard["command"]:
                return seen
            if heard["client_type"] != "lua" and words[0] != "INFO":
                seen.append(words[0].upper())


def test_redis_is_asked_exactly_once_for_each_ack(serving: Serving) -> None:
    serving.post(fresh_id())  # connects, and loads the script
    same = event_body(fresh_id())

    def act() -> None:
        for _ in range(5):
            assert serving.post(fresh_id()).status == 202
        assert [serving.send(same).status for _ in range(2)] == [202, 202]

    assert commands_during(serving.valkey, act) == ["EVALSHA"] * 7


def test_redis_is_asked_exactly_once_for_a_delivery_of_a_thousand_events(serving: Serving) -> None:
    serving.post(fresh_id())
    body = batch_body(fresh_id(), 1_000)

    def act() -> None:
        assert serving.send(body).json()["events"] == 1_000

    assert commands_during(serving.valkey, act) == ["EVALSHA"]


def test_a_stalled_redis_is_a_503_within_the_ack_timeout_and_the_retry_is_stored_once(serving: Serving) -> None:
    before, during = fresh_id(), fresh_id()
    assert serving.post(before).status == 202
    with serving.valkey.stalled():
        for _ in range(2):
            began = time.monotonic()
            assert_refused_for_now(serving.post(during))
            assert time.monotonic() - began < ACK_SECONDS + SLACK_SECONDS
    answer = until_taken(serving, during)
    assert answer.json()["receipt"]
    assert serving.valkey.stored_ids() in ([before, during], [during, before])


def until_taken(serving: Serving, message_id: str) -> Answer:
    """The 2xx for it, from a Redis that is well but may still be settling in."""
    for _ in range(20):
        if (answer := serving.post(message_id)).status == 202:
            return answer
    raise AssertionError(f"still {answer.status} {answer.body!r}")


def test_many_at_once_are_all_refused_in_time_while_redis_is_stalled(ingress: Ingress, valkey: OwnValkey) -> None:
    assert ingress.post(event_body(fresh_id())).status == 202
    wires = [ingress.connect() for _ in range(60)]
    with valkey.stalled():
        for wire in wires:
            wire.send(good(fresh_id()).as_bytes())
        answers = [wire.read() for wire in wires]
    for wire in wires:
        wire.close()
    for answer in answers:
        assert_refused_for_now(answer)
        assert answer.seconds < ACK_SECONDS + SLACK_SECONDS


def test_redis_killed_is_a_503_meanwhile_and_everything_acked_is_there_when_it_is_back(serving: Serving) -> None:
    acked: dict[str, str] = {}
    refused: list[Answer] = []
    over = threading.Event()

    def keep_sending() -> None:
        while not over.is_set():
            message_id = fresh_id()
            answer = serving.post(message_id)
            if answer.status == 202:
                acked[message_id] = answer.json()["receipt"]
            else:
                refused.append(answer)

    senders = [threading.Thread(target=keep_sending) for _ in range(4)]
    for sender in senders:
        sender.start()
    wait_for(lambda: len(acked) > 50)
    serving.valkey.kill()
    wait_for(lambda: len(refused) > 8)
    serving.valkey.revive()
    known = len(acked)
    wait_for(lambda: len(acked) > known + 50)
    over.set()
    for sender in senders:
        sender.join()

    for answer in refused:
        assert_refused_for_now(answer)
    stored = {
        json.loads(entry.meta)["message_id"]: (lane, entry.sequence)
        for lane, entry in serving.valkey.entries()
        if entry.kind is EntryKind.EVENT
    }
    assert set(acked) <= set(stored)
    assert len(stored) == len(serving.valkey.stored_ids())
    for message_id, line in acked.items():
        receipt = read_receipt(line, keys=(promise_keys().receipt,))
        assert (receipt.lane, receipt.sequence) == stored[message_id]


def wait_for(condition: Callable[[], bool]) -> None:
    patience = threading.Event()
    for _ in range(2_000):
        if condition():
            return
        patience.wait(0.01)
    raise AssertionError("it never came about")


def test_redis_out_of_memory_is_a_503_and_stores_nothing_at_all(serving: Serving) -> None:
    client = serving.valkey.client
    serving.post(fresh_id())
    serving.valkey.empty()
    client.config_set("maxmemory", 1)
    try:
        assert_refused_for_now(serving.post(fresh_id()))
        assert_refused_for_now(serving.send(batch_body(fresh_id(), 40)))
        assert client.keys("*") == []
    finally:
        client.config_set("maxmemory", 0)
    assert serving.post(fresh_id()).status == 202


def test_a_redis_that_became_a_replica_is_a_503_and_stores_nothing(serving: Serving) -> None:
    client = serving.valkey.client
    serving.post(fresh_id())
    serving.valkey.empty()
    client.execute_command("REPLICAOF", "127.0.0.1", "1")
    try:
        assert_refused_for_now(serving.post(fresh_id()))
        assert client.keys("*") == []
    finally:
        client.execute_command("REPLICAOF", "NO", "ONE")
    assert until_taken(serving, fresh_id()).json()["status"] == "accepted"


def test_too_few_replicas_are_a_503_and_nothing_is_stored(serving: Serving) -> None:
    client = serving.valkey.client
    serving.post(fresh_id())
    serving.valkey.empty()
    client.config_set("min-replicas-to-write", 1)
    try:
        assert_refused_for_now(serving.post(fresh_id()))
        assert client.keys("*") == []
    finally:
        client.config_set("min-replicas-to-write", 0)
    assert serving.post(fresh_id()).status == 202


FIXED_KEYS = {
    "stream": lambda: keys.stream(1),
    "state": lambda: keys.state(1),
    "queue": lambda: keys.rq_queue(keys.DRAIN_QUEUE),
    "queues": lambda: keys.RQ_QUEUES,
}


@pytest.mark.parametrize("which", FIXED_KEYS)
def test_a_key_of_a_wrong_type_is_a_503_and_no_lane_of_the_delivery_is_touched(which: str, serving: Serving) -> None:
    client = serving.valkey.client
    broken = FIXED_KEYS[which]()
    client.set(broken, "not what it should be")
    body = batch_body(fresh_id(), 40)
    assert_refused_for_now(serving.send(body))
    assert client.keys("*") == [broken]
    client.delete(broken)
    assert serving.send(body).json()["status"] == "accepted"


def test_a_broken_memory_of_one_event_is_a_503_and_no_other_event_of_the_delivery_is_stored(serving: Serving) -> None:
    client = serving.valkey.client
    message_id = fresh_id()
    body = batch_body(message_id, 40)
    identity = identity_of(provider="default", recipe="generic/1", fields=(f"{message_id}-39", "delivered"))
    client.rpush(keys.seen(identity), "not what it should be")
    assert_refused_for_now(serving.send(body))
    assert client.keys("*") == [keys.seen(identity)]
    client.delete(keys.seen(identity))
    assert serving.send(body).json()["status"] == "accepted"
    assert len(serving.valkey.stored_ids()) == 40


def test_a_lane_state_that_is_no_number_is_a_503_and_no_other_lane_is_touched(serving: Serving) -> None:
    client = serving.valkey.client
    client.hset(keys.state(3), "sequence", "many")
    assert_refused_for_now(serving.send(batch_body(fresh_id(), 40)))
    assert client.keys("*") == [keys.state(3)]


def test_a_flushed_script_is_loaded_again_and_no_sender_notices(serving: Serving) -> None:
    assert serving.post(fresh_id()).status == 202
    serving.valkey.client.script_flush()
    assert serving.post(fresh_id()).status == 202


def test_a_redis_restarted_with_all_its_data_remembers_what_it_promised(serving: Serving) -> None:
    body = event_body(fresh_id())
    receipt = serving.send(body).json()["receipt"]
    serving.valkey.kill()
    serving.valkey.revive()
    for _ in range(20):
        if (answer := serving.send(body)).status == 202:
            break
    assert (answer.status, answer.json()["status"], answer.json()["receipt"]) == (202, "duplicate", receipt)


def test_a_full_lane_is_a_503_that_says_so_and_stores_nothing(valkey: OwnValkey) -> None:
    with running_ingress(redis_url=valkey.url, LANE_BOUND="100") as bounded:
        fill_lane = [event_body(fresh_id(), ordering_key="one-key") for _ in range(100)]
        assert {bounded.post(body).status for body in fill_lane} == {202}
        [lane] = {lane for lane, _ in valkey.entries()}
        refused = bounded.post(event_body("too-much", ordering_key="one-key"))
        assert (refused.status, refused.code) == (503, "lane_full")
        assert int(refused.headers["retry-after"]) >= 1
        assert bounded.post(fill_lane[0]).json()["status"] == "duplicate"
        assert len(valkey.entries()) == 100

        body = batch_body("split", 40)
        partly = bounded.post(body)
        assert (partly.status, partly.code) == (503, "lane_full")
        assert 0 < partly.json()["refused"] < partly.json()["events"] == 40
        at_once = [message_id for message_id in valkey.stored_ids() if message_id.startswith("split-")]
        assert len(at_once) == 40 - partly.json()["refused"]

        drain(valkey.lanes, lane)
        assert bounded.post(body).status == 202
        stored = [message_id for message_id in valkey.stored_ids() if message_id.startswith("split-")]
        assert sorted(stored) == sorted(f"split-{i}" for i in range(40))


def drain(lanes: LaneBuffer, lane: int) -> None:
    """As if a worker had committed all that waits there."""
    claim = lanes.claim(lane, token=b"test", fence_floor=0)
    assert claim is not None
    entries = lanes.read(lane, limit_count=1_000)
    freed_bytes = sum(entry.size_bytes for entry in entries)
    assert lanes.trim(claim, through_sequence=entries[-1].sequence, freed_bytes=freed_bytes) == 0
    assert lanes.release(claim)


def test_a_lane_full_by_bytes_is_a_503_too(valkey: OwnValkey, monkeypatch: pytest.MonkeyPatch) -> None:
    lanes = LaneBuffer(client=redis_client(valkey.url))
    monkeypatch.setattr(receive, "lane_buffer", lambda: lanes)
    limits = dataclasses.replace(accept.append_limits(), lane_bound_bytes=5_000)
    monkeypatch.setattr(accept, "append_limits", lambda: limits)
    statuses = [serve_alone(good(fresh_id(), pad="x" * 1_000)).status for _ in range(8)]
    assert statuses == sorted(statuses)
    assert (statuses[0], statuses[-1]) == (202, 503)
    assert len(valkey.entries()) == statuses.count(202)
