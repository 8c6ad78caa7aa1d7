"""The ingress with more at hand than it can answer in time: what it sheds, and what becomes of the rest."""

from __future__ import annotations

import asyncio
import itertools
import os
import resource
import signal
import statistics
import threading
import time
from collections import Counter
from collections.abc import Iterator

import pytest
from pytest_django.plugin import DjangoDbBlocker

from autocom.ingress.http import Request
from autocom.ingress.overload import MEMORY_SECONDS, ROUND_SECONDS, WAIT_LIMIT_SECONDS, Respond, Turns
from ingestion.problems import Reply
from tests.support.ingress import (
    Answer,
    Ingress,
    OwnValkey,
    Wire,
    own_database,
    own_valkey,
    running_ingress,
    signed_request,
)
from tests.support.senders import event_body

NUMBERS = itertools.count()
BURST_COUNT = 900  # more than is served within the time that a burst may wait
SLOW_COUNT = 500


def fresh_id() -> str:
    return f"load-{next(NUMBERS)}"


class Work:
    """What is served takes a while of the loop's time."""

    def __init__(self, *, cost_seconds: float) -> None:
        self.cost_seconds = cost_seconds
        self.is_behind = False
        self.served: list[str] = []
        self.shed: list[str] = []
        self.turns = Turns(serve=self._serve, shed=self._shed, is_behind=lambda: self.is_behind)

    def _serve(self, request: Request, respond: Respond) -> None:
        time.sleep(self.cost_seconds)
        self.served.append(request.query)

    def _shed(self, request: Request, respond: Respond) -> None:
        self.shed.append(request.query)

    def take(self, *names: str) -> None:
        for name in names:
            self.turns.take(Request(query=name), _unheard)

    async def settled(self, count: int) -> None:
        while len(self.served) + len(self.shed) < count:
            await asyncio.sleep(0.001)


def _unheard(_: Reply) -> None:
    """The answer is not what these tests look at."""


def test_a_request_alone_is_served_at_once_however_long_others_took() -> None:
    async def one_by_one() -> Work:
        work = Work(cost_seconds=WAIT_LIMIT_SECONDS * 2)
        for name in "abcd":
            work.take(name)
            assert work.served[-1] == name
            await asyncio.sleep(0.001)
        return work

    assert asyncio.run(one_by_one()).shed == []


def test_more_than_a_round_can_serve_wait_in_order_and_are_shed_when_they_waited_too_long() -> None:
    names = [f"{i:02}" for i in range(80)]

    async def at_once() -> Work:
        work = Work(cost_seconds=ROUND_SECONDS / 2.5)
        work.take(*names)
        assert 1 <= len(work.served) <= 4  # a round's worth, the others wait
        await work.settled(len(names))
        return work

    work = asyncio.run(at_once())
    assert work.served == sorted(work.served)
    assert len(work.served) >= 4
    assert len(work.shed) >= 20
    assert sorted(work.served + work.shed) == names


def test_a_burst_waits_and_nobody_is_refused() -> None:
    names = [f"{i:02}" for i in range(12)]

    async def at_once() -> Work:
        work = Work(cost_seconds=WAIT_LIMIT_SECONDS / 4)  # the last of them waits three times as long as in a queue
        work.take(*names)
        await work.settled(len(names))
        return work

    work = asyncio.run(at_once())
    assert (work.served, work.shed) == (names, [])


def test_in_a_queue_that_stands_the_limit_is_tight_and_after_it_was_empty_it_is_not() -> None:
    cost_seconds = ROUND_SECONDS  # of a round's time, so that each round serves one

    async def flood_then_burst() -> tuple[Work, int]:
        work = Work(cost_seconds=cost_seconds)
        ends_at = time.monotonic() + MEMORY_SECONDS
        count = 0
        while time.monotonic() < ends_at:
            work.take(*(str(count + i) for i in range(6)))
            count += 6
            await asyncio.sleep(cost_seconds)
        await work.settled(count)
        shed_count = len(work.shed)
        await asyncio.sleep(4 * MEMORY_SECONDS)
        work.take(*"abcdef")
        await work.settled(count + 6)
        return work, shed_count

    work, shed_count = asyncio.run(flood_then_burst())
    assert shed_count > len(work.served) / 4
    assert work.shed[shed_count:] == []


def test_the_loop_hears_others_between_two_rounds() -> None:
    async def ticks_while_serving() -> int:
        work = Work(cost_seconds=ROUND_SECONDS / 5)
        work.take(*(str(i) for i in range(20)))
        ticks = 0
        while len(work.served) + len(work.shed) < 20:
            ticks += 1
            await asyncio.sleep(0)
        return ticks

    assert asyncio.run(ticks_while_serving()) >= 2


def test_nothing_more_is_served_while_redis_is_behind_and_all_is_again_when_it_is_not() -> None:
    async def behind() -> Work:
        work = Work(cost_seconds=0)
        work.is_behind = True
        work.take("a", "b")
        assert work.served == []
        await work.settled(2)
        assert work.shed == ["a", "b"]
        work.take("c")
        work.is_behind = False
        await work.settled(3)
        return work

    assert asyncio.run(behind()).served == ["c"]


# the real ingress


@pytest.fixture(scope="module")
def valkey() -> Iterator[OwnValkey]:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(hard, 4_096)), hard))  # the ingress inherits it
    with own_valkey() as valkey:
        yield valkey


@pytest.fixture(scope="module")
def ingress(valkey: OwnValkey, django_db_blocker: DjangoDbBlocker) -> Iterator[Ingress]:
    """One worker, with a database of its own: counts are written only where there is one."""
    with (
        django_db_blocker.unblock(),
        own_database("autocom_overload_test") as db_url,
        running_ingress(redis_url=valkey.url, db_url=db_url) as ingress,
    ):
        yield ingress


def burst(ingress: Ingress, wires: list[Wire], requests: list[bytes]) -> list[Answer]:
    """All requests are there before the ingress looks at the first: it was stopped meanwhile."""
    (worker,) = ingress.workers()
    os.kill(worker.pid, signal.SIGSTOP)
    try:
        for wire, request in zip(wires, requests, strict=True):
            wire.send(request)
    finally:
        os.kill(worker.pid, signal.SIGCONT)
    return [wire.read() for wire in wires]


def test_a_burst_is_accepted_in_part_and_shed_in_part_and_no_connection_is_lost(
    ingress: Ingress, valkey: OwnValkey
) -> None:
    wires = [ingress.connect() for _ in range(BURST_COUNT)]
    try:
        for wire in wires:  # each is known to the loop before the burst
            wire.send(b"GET /healthz HTTP/1.1\r\nHost: ingress\r\n\r\n")
            assert wire.read().status == 200
        busy_before = busy_count(ingress)
        names = [fresh_id() for _ in wires]
        answers = burst(ingress, wires, [signed_request(event_body(name)) for name in names])
        found = Counter((answer.status, answer.code) for answer in answers)
        assert found.keys() == {(202, ""), (503, "ingress_busy")}
        shed = [answer for answer in answers if answer.status == 503]
        assert {1 <= int(answer.headers["retry-after"]) <= 4 for answer in shed} == {True}
        accepted = {name for name, answer in zip(names, answers, strict=True) if answer.status == 202}
        assert accepted == set(names) & set(valkey.stored_ids())
        await_count(ingress, busy_before + len(shed))

        for wire, name, answer in zip(wires, names, answers, strict=True):
            wire.send(signed_request(event_body(name)))  # on the same connection, one by one
            assert (again := wire.read()).status == 202
            assert again.json()["status"] == ("duplicate" if answer.status == 202 else "accepted")
    finally:
        for wire in wires:
            wire.close()


def busy_count(ingress: Ingress) -> int:
    """`ingress_busy` answers so far, as the metrics have them."""
    for line in ingress.get("/metrics").body.decode().splitlines():
        if line.startswith("autocom_answers_total") and 'code="ingress_busy"' in line:
            return int(float(line.rpartition(" ")[2]))
    return 0


def await_count(ingress: Ingress, count: int) -> None:
    deadline = time.monotonic() + 10
    while (found := busy_count(ingress)) != count:
        assert time.monotonic() < deadline, (found, count)
        time.sleep(0.2)


def test_health_answers_in_the_middle_of_a_burst(ingress: Ingress) -> None:
    wires = [ingress.connect() for _ in range(BURST_COUNT)]
    try:
        requests = [signed_request(event_body(fresh_id())) for _ in wires]
        requests[-1] = b"GET /healthz HTTP/1.1\r\nHost: ingress\r\n\r\n"
        assert burst(ingress, wires, requests)[-1].status == 200
    finally:
        for wire in wires:
            wire.close()


def test_five_hundred_senders_that_never_finish_take_nothing_from_a_good_one(ingress: Ingress) -> None:
    slow = [ingress.connect() for _ in range(SLOW_COUNT)]
    try:
        for wire in slow:
            wire.send(b"POST /webhooks/default HTTP/1.1\r\nHost: ingress\r\nContent-Length: 100\r\n")
        answers = [timed_post(ingress) for _ in range(60)]
        assert {answer.status for answer, _ in answers} == {202}
        assert statistics.median(seconds for _, seconds in answers) < 0.12
    finally:
        for wire in slow:
            wire.close()


def timed_post(ingress: Ingress) -> tuple[Answer, float]:
    request = signed_request(event_body(fresh_id()))
    started = time.monotonic()
    return ingress.send(request), time.monotonic() - started


def test_a_flood_of_bad_signatures_leaves_good_ones_accepted_in_time_or_shed(ingress: Ingress) -> None:
    is_over = threading.Event()
    flood = [threading.Thread(target=forge, args=(ingress, is_over)) for _ in range(8)]
    for thread in flood:
        thread.start()
    try:
        answers = [timed_post(ingress) for _ in range(60)]
    finally:
        is_over.set()
        for thread in flood:
            thread.join()
    assert {(answer.status, answer.code) for answer, _ in answers} <= {(202, ""), (503, "ingress_busy")}
    accepted = [seconds for answer, seconds in answers if answer.status == 202]
    assert statistics.median(accepted) < 0.12


def forge(ingress: Ingress, is_over: threading.Event) -> None:
    """Deliveries with a wrong signature, as fast as one connection takes them, several on the way at once."""
    request = signed_request(event_body("forged"), secret="not-the-secret-of-this-provider")
    wire = ingress.connect()
    try:
        while not is_over.is_set():
            wire.send(request * 4)
            for _ in range(4):
                assert wire.read().status in (401, 503)
    finally:
        wire.close()
