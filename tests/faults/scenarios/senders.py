"""Senders that repeat, contradict themselves, send poison, send slowly, lie, or send too much. And clocks that jump."""

from __future__ import annotations

import random
import socket
import threading
import time
from collections.abc import Sequence

from ingestion.replay.history import History
from tests.faults.scenarios import processes
from tests.faults.trial import Fault, Scenario, Strike
from tests.support.ingress import request_bytes

SLOW_CONNECTIONS = 500
LIARS = 16
P95_AT_MOST_MS = 120.0  # of what was accepted, from the moment of sending


def nothing(strike: Strike) -> None:
    """The load itself is the fault."""
    strike.until_load_ends()


def slow_bodies(strike: Strike) -> None:
    """Connections that announce a body and send a byte of it now and then."""
    port = strike.stack.ingress_port
    head = request_bytes(b"", [("Content-Length", "1048576"), ("Content-Type", "application/json")])
    opened: list[socket.socket] = []
    try:
        for _ in range(SLOW_CONNECTIONS):
            connection = socket.create_connection(("127.0.0.1", port), timeout=5)
            connection.sendall(head + b"{")
            opened.append(connection)
        strike.notes.append(f"{len(opened)} slow connections")
        deadline = time.monotonic() + 4
        while time.monotonic() < deadline:
            for connection in opened:
                _send_a_little(connection)
            strike.hold(0.5)
    finally:
        for connection in opened:
            connection.close()


def _send_a_little(connection: socket.socket) -> None:
    try:
        connection.sendall(b" ")
    except OSError:
        return  # cut off, as it should be


def bad_signatures(strike: Strike) -> None:
    """A flood on sixteen connections of deliveries that nobody signed."""
    over = threading.Event()
    counts = [0] * LIARS

    def lie(who: int) -> None:
        rng = random.Random(who)
        body = b'{"id":"forged","type":"x","data":"%064x"}' % rng.getrandbits(256)
        headers = [
            ("Authorization", "Bearer wrong"),
            ("X-Webhook-Timestamp", str(int(time.time()))),
            ("X-Webhook-Signature", f"sha256={rng.getrandbits(256):064x}"),
            ("Content-Length", str(len(body))),
            ("Content-Type", "application/json"),
        ]
        request = request_bytes(body, headers)
        while not over.is_set():
            try:
                with socket.create_connection(("127.0.0.1", strike.stack.ingress_port), timeout=5) as connection:
                    while not over.is_set():
                        connection.sendall(request)
                        if not connection.recv(65_536):
                            break
                        counts[who] += 1
            except OSError:
                continue

    threads = [threading.Thread(target=lie, args=(who,), daemon=True) for who in range(LIARS)]
    for thread in threads:
        thread.start()
    strike.hold(4)
    over.set()
    for thread in threads:
        thread.join(6)
    strike.notes.append(f"{sum(counts):,} forged deliveries in 4 s")


def clock_off(seconds: float, *, of: str) -> Fault:
    def strike(strike: Strike) -> None:
        with strike.stack.clock_off_by(seconds, of=of):
            strike.hold(3)

    return strike


def quick_for_the_accepted(history: History, strike: Strike) -> Sequence[str]:
    """Those that were taken were taken quickly; whoever could not be was told so."""
    firsts = [send.attempts[0] for send in history.sends if send.attempts]
    good = sorted((first.ack_ns - first.sent_ns) / 1e6 for first in firsts if first.is_acknowledged)
    refused = sum(first.status == 503 for first in firsts)
    p95_ms = good[int(0.95 * (len(good) - 1))] if good else 0.0
    strike.notes.append(f"{len(good):,} accepted at once with P95 {p95_ms:.0f} ms, {refused:,} told 503")
    return [f"P95 of the accepted was {p95_ms:.0f} ms"] if p95_ms > P95_AT_MOST_MS else []


SCENARIOS = (
    Scenario(
        id="duplicate-storm",
        title="each event three times, two thirds of them at once or soon",
        strike=nothing,
        load={"duplicates": 0.667, "in_flight_count": 0},
    ),
    Scenario(
        id="same-id-other-body",
        title="known identities with another body",
        strike=nothing,
        load={"conflicts": 0.1, "in_flight_count": 0},
        may_answer=frozenset({202, 409, 503}),
    ),
    Scenario(
        id="poison",
        title="payloads that PostgreSQL cannot hold",
        strike=nothing,
        load={"poison": 0.05, "in_flight_count": 0},
    ),
    Scenario(
        id="poison-and-crash",
        title="poison, conflicts, and a worker killed inside the transaction",
        strike=processes.killed_at("inside-the-transaction"),
        load={"poison": 0.05, "conflicts": 0.05, "duplicates": 0.1},
        may_answer=frozenset({202, 409, 503}),
    ),
    Scenario(id="slow-bodies", title=f"{SLOW_CONNECTIONS} connections with slow bodies", strike=slow_bodies),
    Scenario(id="bad-signatures", title="a flood of forged deliveries", strike=bad_signatures),
    Scenario(
        id="overload-2x",
        title="twice the rate",
        strike=nothing,
        load={"count": 10_000, "rate": 2_000.0, "connections": 128, "in_flight_count": 0},
        requires=quick_for_the_accepted,
    ),
    Scenario(
        id="overload-10x",
        title="ten times the rate",
        strike=nothing,
        load={"count": 50_000, "rate": 10_000.0, "connections": 256, "in_flight_count": 0, "retries": 1},
        requires=quick_for_the_accepted,
    ),
    Scenario(id="worker-clock-ahead", title="workers' clock an hour ahead", strike=clock_off(3_600, of="worker")),
    Scenario(id="worker-clock-behind", title="workers' clock an hour behind", strike=clock_off(-3_600, of="worker")),
    Scenario(id="ingress-clock-behind", title="ingress's clock 5 s behind", strike=clock_off(-5, of="ingress")),
    Scenario(
        id="ingress-clock-ahead",
        title="ingress's clock an hour ahead: good signatures look old",
        strike=clock_off(3_600, of="ingress"),
        may_answer=frozenset({202, 401, 503}),
    ),
)
