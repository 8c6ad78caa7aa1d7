"""One connection of the ingress by itself: what a sender may hold while it is answered, refused or one too many."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

import pytest

from autocom.ingress import http
from autocom.ingress.http import Connections, HttpConnection, Refusal, Request
from ingestion.problems import Problem, Reply

DONE = Reply(status=202, body=b"{}", code="accepted")


@dataclass(slots=True)
class Transport:
    """Notes what the connection asks of it."""

    sent: bytes = b""
    calls: list[str] = field(default_factory=list)

    def get_extra_info(self, name: str) -> tuple[str, int]:
        assert name == "peername"
        return ("127.0.0.1", 1)

    def write(self, data: bytes) -> None:
        self.sent += data

    def can_write_eof(self) -> bool:
        return True

    def __getattr__(self, name: str) -> Callable[[], None]:
        return lambda: self.calls.append(name)


@dataclass(slots=True)
class Slow:
    """Serves a request when the test says so; refuses what says that it has no length."""

    waiting: list[tuple[Request, Callable[[Reply], None]]] = field(default_factory=list)

    def refusal(self, request: Request) -> Refusal | None:
        return None if "content-length" in request.headers else Refusal(Problem.LENGTH_REQUIRED)

    def refuse(self, request: Request, refusal: Refusal) -> Reply:
        assert request.refusal is refusal
        return Reply(status=411, body=b"", code=refusal.problem)

    def serve(self, request: Request, respond: Callable[[Reply], None]) -> None:
        self.waiting.append((request, respond))

    def answer_first(self) -> bytes:
        request, respond = self.waiting.pop(0)
        respond(DONE)
        return request.body


def post(body: bytes) -> bytes:
    return b"POST / HTTP/1.1\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)


def on_a_loop(test: Callable[[Slow, Connections], Awaitable[None]]) -> None:
    async def run() -> None:
        application = Slow()
        await test(application, Connections(application))

    asyncio.run(run())


def connected(connections: Connections) -> tuple[HttpConnection, Transport]:
    connection, transport = HttpConnection(connections), Transport()
    connection.connection_made(transport)  # type: ignore[arg-type]
    return connection, transport


def test_a_sender_that_goes_on_while_it_is_served_is_read_again_after_its_answer() -> None:
    async def test(application: Slow, connections: Connections) -> None:
        connection, transport = connected(connections)
        connection.data_received(post(b"first"))
        assert transport.calls == []
        connection.data_received(post(b"second"))
        assert transport.calls == ["pause_reading"]
        connection.data_received(b"")
        assert transport.calls == ["pause_reading"]
        assert application.answer_first() == b"first"
        assert transport.calls == ["pause_reading", "resume_reading"]
        await asyncio.sleep(0)
        assert application.answer_first() == b"second"
        assert transport.sent.count(b"HTTP/1.1 202") == 2

    on_a_loop(test)


def test_what_comes_after_a_refusal_is_thrown_away_up_to_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "DISCARD_LIMIT_BYTES", 1_000)

    async def test(application: Slow, connections: Connections) -> None:
        connection, transport = connected(connections)
        connection.data_received(b"POST / HTTP/1.1\r\n\r\n")
        assert transport.sent.startswith(b"HTTP/1.1 411")
        connection.data_received(b"x" * 1_000)
        assert "abort" not in transport.calls
        connection.data_received(b"x")
        assert "abort" in transport.calls
        assert application.waiting == []

    on_a_loop(test)


def test_one_connection_above_the_limit_is_closed_and_the_others_are_served(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "CONNECTIONS_LIMIT_COUNT", 2)

    async def test(application: Slow, connections: Connections) -> None:
        (first, kept), (_, also_kept), (_, refused) = [connected(connections) for _ in range(3)]
        assert (kept.calls, also_kept.calls, refused.calls) == ([], [], ["abort"])
        first.data_received(post(b"served"))
        assert application.answer_first() == b"served"

    on_a_loop(test)


def test_a_header_that_is_repeated_is_one_list_as_http_has_it() -> None:
    async def test(application: Slow, connections: Connections) -> None:
        connection, _ = connected(connections)
        connection.data_received(
            b"POST / HTTP/1.1\r\nX-Signature: one\r\nx-signature: two\r\nContent-Length: 0\r\n\r\n"
        )
        [(request, _)] = application.waiting
        assert request.headers["x-signature"] == "one, two"

    on_a_loop(test)


def test_the_answer_to_a_head_has_the_length_of_its_body_and_no_body() -> None:
    async def test(application: Slow, connections: Connections) -> None:
        connection, transport = connected(connections)
        connection.data_received(b"HEAD / HTTP/1.1\r\nContent-Length: 0\r\n\r\n")
        application.answer_first()
        assert b"content-length: 2\r\n" in transport.sent
        assert transport.sent.endswith(b"\r\n\r\n")

    on_a_loop(test)


def test_an_ingress_that_ends_closes_idle_connections_and_lets_the_others_have_their_answer() -> None:
    async def test(application: Slow, connections: Connections) -> None:
        (_, idle), (busy_connection, busy) = connected(connections), connected(connections)
        busy_connection.data_received(post(b"in hand"))
        ending = asyncio.create_task(connections.close(within_seconds=0.2))
        await asyncio.sleep(0.05)
        assert (idle.calls, busy.calls) == (["close"], [])
        application.answer_first()
        assert b"connection: close" in busy.sent
        await ending

    on_a_loop(test)
