"""The real ingress, two workers, over raw sockets: the same inputs, and senders that are slow, many, or gone."""

from __future__ import annotations

import itertools
import json
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest
from pytest_django.plugin import DjangoDbBlocker

from ingestion.accept import promise_keys
from ingestion.buffer.append import EntryKind
from ingestion.receipts import read_receipt
from tests.support.ingress import (
    Answer,
    Ingress,
    OwnValkey,
    Wire,
    own_database,
    own_valkey,
    request_bytes,
    running_ingress,
    signed_request,
)
from tests.support.inputs import INPUTS, good
from tests.support.senders import event_body

NUMBERS = itertools.count()


def fresh_id() -> str:
    return f"ingress-{next(NUMBERS)}"


@pytest.fixture(scope="module")
def valkey() -> Iterator[OwnValkey]:
    with own_valkey() as valkey:
        yield valkey


@pytest.fixture(scope="module")
def running(valkey: OwnValkey, django_db_blocker: DjangoDbBlocker) -> Iterator[Ingress]:
    """With a database of its own that knows a provider `asleep`, which is switched off."""
    with django_db_blocker.unblock(), own_database("autocom_ingress_test") as db_url:
        with psycopg.connect(db_url, autocommit=True) as database:
            database.execute(
                "INSERT INTO ingestion_provider (name, scheme, enabled, options, created_at, updated_at)"
                " VALUES ('asleep', 'generic', false, '{}', now(), now())"
            )
        with running_ingress(redis_url=valkey.url, db_url=db_url, workers=2) as ingress:
            await_providers(ingress)
            yield ingress


def await_providers(ingress: Ingress) -> None:
    """Both workers have read them: a name that is none of them is refused for good."""
    in_a_row = 0
    deadline = time.monotonic() + 30
    while in_a_row < 30 and time.monotonic() < deadline:
        in_a_row = in_a_row + 1 if ingress.send(_to("nobody")).status == 404 else 0
    assert in_a_row == 30, ingress.log()[-2_000:]


def _to(provider: str) -> bytes:
    return signed_request(event_body("never"), path=f"/webhooks/{provider}")


@pytest.fixture
def ingress(running: Ingress, valkey: OwnValkey) -> Iterator[Ingress]:
    """Empty lanes before; afterwards no stack and no error in what the test made it log."""
    valkey.empty()
    before = len(running.log())
    yield running
    logged = running.log()[before:]
    assert "traceback" not in logged.lower()
    errors = [
        line for line in logged.splitlines() if '"level":"error"' in line and "Unexpected exit from worker" not in line
    ]
    assert errors == []


def code_of(answer: Answer) -> tuple[int, str]:
    return answer.status, answer.code


@pytest.mark.parametrize("name", INPUTS)
def test_this_input_gets_its_status_and_code_and_delays_nobody_beside_it(name: str, ingress: Ingress) -> None:
    expected = INPUTS[name].expected.ingress
    bad = ingress.connect()
    bad.send(INPUTS[name].make(fresh_id()).as_bytes())
    beside = ingress.send(good(fresh_id()).as_bytes())
    answer = bad.read()
    bad.close()
    assert code_of(answer) == expected
    assert b"Traceback" not in answer.body
    assert beside.status == 202
    assert ingress.send(good(fresh_id()).as_bytes()).status == 202


def test_nothing_of_the_refused_inputs_is_stored(ingress: Ingress, valkey: OwnValkey) -> None:
    for each in INPUTS.values():
        if each.expected.ingress[0] != 202:
            ingress.send(each.make(fresh_id()).as_bytes())
    assert valkey.entries() == []
    assert [key for key in valkey.client.keys("*") if b"seen" in key] == []


def test_a_head_request_is_refused_like_any_other_method(ingress: Ingress) -> None:
    wire = ingress.connect()
    wire.send(request_bytes(b"", [("Connection", "close")], method="HEAD"))
    received = b"".join(iter(lambda: wire.sock.recv(65_536), b""))
    assert received.startswith(b"HTTP/1.1 405 ")


def test_one_connection_carries_good_requests_after_refused_ones(ingress: Ingress) -> None:
    wire = ingress.connect()
    for name in ("good", "wrong bearer", "not JSON", "GET", "unknown provider", "gzip", "good"):
        wire.send(INPUTS[name].make(fresh_id()).as_bytes())
        assert code_of(wire.read()) == INPUTS[name].expected.ingress
    wire.close()


def test_requests_sent_without_waiting_for_answers_are_answered_in_order(ingress: Ingress) -> None:
    ids = [fresh_id() for _ in range(20)]
    wire = ingress.connect()
    wire.send(b"".join(good(message_id).as_bytes() for message_id in ids))
    answers = [wire.read() for _ in ids]
    wire.close()
    assert [answer.status for answer in answers] == [202] * len(ids)


def test_a_receipt_names_the_place_where_its_event_waits(ingress: Ingress, valkey: OwnValkey) -> None:
    sent = good(fresh_id())
    receipt = read_receipt(ingress.send(sent.as_bytes()).json()["receipt"], keys=(promise_keys().receipt,))
    [(lane, entry)] = valkey.entries()
    assert (lane, entry.sequence, entry.accepted_us) == (receipt.lane, receipt.sequence, receipt.accepted_us)
    assert entry.payload == sent.body


def test_the_same_event_three_times_at_once_is_one_entry_and_one_receipt_for_all(
    ingress: Ingress, valkey: OwnValkey
) -> None:
    rounds = [good(fresh_id()).as_bytes() for _ in range(10)]
    with ThreadPoolExecutor(3) as senders:
        for request in rounds:
            together = threading.Barrier(3)

            def send(request: bytes = request, together: threading.Barrier = together) -> Answer:
                wire = ingress.connect()
                together.wait()
                wire.send(request)
                try:
                    return wire.read()
                finally:
                    wire.close()

            answers = [future.result() for future in [senders.submit(send) for _ in range(3)]]
            assert [answer.status for answer in answers] == [202, 202, 202]
            assert sorted(answer.json()["status"] for answer in answers) == ["accepted", "duplicate", "duplicate"]
            assert len({answer.json()["receipt"] for answer in answers}) == 1
    assert len(valkey.stored_ids()) == len(set(valkey.stored_ids())) == len(rounds)


def test_the_same_id_with_another_body_is_a_conflict_and_leaves_the_first_as_it_was(
    ingress: Ingress, valkey: OwnValkey
) -> None:
    message_id = fresh_id()
    first, other = good(message_id, n=1), good(message_id, n=2)
    receipt = ingress.send(first.as_bytes()).json()["receipt"]
    assert code_of(ingress.send(other.as_bytes())) == (409, "identity_conflict")
    kept = [(entry.kind, entry.payload) for _, entry in valkey.entries()]
    assert kept == [(EntryKind.EVENT, first.body), (EntryKind.QUARANTINED, other.body)]
    assert ingress.send(first.as_bytes()).json()["receipt"] == receipt


def test_fifty_senders_of_one_byte_a_second_delay_nobody_and_are_cut_off(ingress: Ingress) -> None:
    whole = signed_request(event_body(fresh_id(), pad="x" * 1_000))
    slow = [ingress.connect() for _ in range(50)]
    for wire in slow:
        wire.send(whole[:-900])
    good_seconds = []
    deadline = time.monotonic() + 4.0
    while time.monotonic() < deadline:
        for wire in slow:
            wire.send(b"x")
        for _ in range(5):
            answer = ingress.send(good(fresh_id()).as_bytes())
            assert answer.status == 202
            good_seconds.append(answer.seconds)
        time.sleep(1.0)
    assert max(good_seconds) < 2.0
    answers = [wire.read() for wire in slow]
    assert {code_of(answer) for answer in answers} == {(408, "body_timeout")}
    for wire in slow[:3]:
        assert is_cut_off(wire)
    for wire in slow:
        wire.close()


def is_cut_off(wire: Wire) -> bool:
    """The server hangs up although the sender would go on."""
    for _round in range(20):
        try:
            wire.send(b"x")
        except OSError:
            return True
        if wire.is_closed_within(0.2):
            return True
    return False


def test_a_sender_that_breaks_off_in_its_body_harms_nobody_and_leaves_nothing(
    ingress: Ingress, valkey: OwnValkey
) -> None:
    for _ in range(30):
        wire = ingress.connect()
        wire.send(signed_request(event_body("broken-off", pad="x" * 10_000))[:-5_000])
        wire.close()
    assert ingress.send(good("whole").as_bytes()).status == 202
    assert valkey.stored_ids() == ["whole"]


def test_a_sender_that_goes_before_its_answer_has_its_event_kept_once(ingress: Ingress, valkey: OwnValkey) -> None:
    request = good("gone-early").as_bytes()
    for _ in range(10):
        wire = ingress.connect()
        wire.send(request)
        wire.close()
    assert ingress.send(request).status == 202
    assert valkey.stored_ids() == ["gone-early"]


def test_headers_that_never_end_are_cut_off_by_their_size(ingress: Ingress) -> None:
    wire = ingress.connect()
    wire.send(b"POST /webhooks/default HTTP/1.1\r\nHost: ingress\r\nX-Long: ")
    sent_bytes = 0
    try:
        while sent_bytes < 4_000_000:
            wire.send(b"x" * 65_536)
            sent_bytes += 65_536
        status = wire.read().status
    except OSError:
        status = 0
    wire.close()
    assert status in (0, 400, 431)
    assert ingress.send(good(fresh_id()).as_bytes()).status == 202


def test_a_worker_killed_under_load_costs_only_unanswered_requests_and_is_replaced(
    ingress: Ingress, valkey: OwnValkey
) -> None:
    receipts: dict[str, str] = {}
    repeated: list[tuple[str, str]] = []
    unexpected: list[Answer] = []
    over = threading.Event()

    def keep_sending(sender: int) -> None:
        for number in itertools.count():
            if over.is_set():
                return
            message_id = f"killed-{sender}-{number}"
            request = good(message_id, key=message_id).as_bytes()
            tries = 0
            while True:
                tries += 1
                answer = send_or_nothing(ingress, request)
                if answer.status == 202:
                    break
                if answer.status != 0:
                    unexpected.append(answer)
                time.sleep(0.02)
            receipts[message_id] = answer.json()["receipt"]
            if tries > 1:
                repeated.append((message_id, answer.json()["status"]))

    victim, survivor = ingress.workers()
    senders = [threading.Thread(target=keep_sending, args=(i,)) for i in range(8)]
    for sender in senders:
        sender.start()
    time.sleep(0.5)
    victim.kill()
    await_workers(ingress, 2, without=victim.pid)
    time.sleep(0.5)
    over.set()
    for sender in senders:
        sender.join()

    assert unexpected == []
    assert survivor.is_running()
    stored = {
        json.loads(entry.meta)["message_id"]: (lane, entry)
        for lane, entry in valkey.entries()
        if entry.kind is EntryKind.EVENT
    }
    assert len(stored) == len(valkey.stored_ids())
    assert set(stored) == set(receipts)
    for message_id, line in receipts.items():
        receipt = read_receipt(line, keys=(promise_keys().receipt,))
        lane, entry = stored[message_id]
        assert (receipt.lane, receipt.sequence) == (lane, entry.sequence)
    assert "ingress_worker_ended" in ingress.log()


def send_or_nothing(ingress: Ingress, request: bytes) -> Answer:
    try:
        return ingress.send(request)
    except OSError:
        return Answer(0, {}, b"")


def await_workers(ingress: Ingress, count: int, *, without: int) -> None:
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        pids = [worker.pid for worker in ingress.workers()]
        if len(pids) == count and without not in pids:
            return
        time.sleep(0.05)
    raise AssertionError(f"no {count} workers without {without}: {ingress.workers()}")
