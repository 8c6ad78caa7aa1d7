"""HTTP/1.1 on one event loop: httptools parses, one callback serves. No thread and no task a request.

Each connection is served one request at a time, in order. What a sender may hold is bounded: header bytes, body bytes,
and time. A request that its headers alone refuse is answered before its body is read; what still comes of it is thrown
away for a while.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from email.utils import formatdate
from functools import partial
from http import HTTPStatus
from typing import Any, Protocol

import httptools

from ingestion.problems import Problem, Reply

HEADER_LIMIT_BYTES = 65_536  # of one request's line and headers
HEADER_DEADLINE_SECONDS = 10.0
BODY_DEADLINE_SECONDS = 5.0
IDLE_LIMIT_SECONDS = 75.0  # longer than most senders keep a connection, so that they close first
DISCARD_LIMIT_BYTES = 16_777_216
CONNECTIONS_LIMIT_COUNT = 20_000
SWEEP_SECONDS = 0.5
NEVER = float("inf")

CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
STATUS_LINES = {status.value: f"HTTP/1.1 {status.value} {status.phrase}\r\n".encode() for status in HTTPStatus}

log = logging.getLogger("autocom.ingress")


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a request is answered without being served. `members` say more in the problem."""

    problem: Problem
    members: dict[str, Any] = field(default_factory=dict)


@dataclass(slots=True)
class Request:
    """One request, complete when it is served. Header names are lower case, repeated ones joined as HTTP allows."""

    method: str = ""
    path: bytes = b""
    query: str = ""
    version: str = "1.1"
    client: str = ""
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    keeps_alive: bool = True
    refusal: Refusal | None = None  # then `serve` never sees it


class Application(Protocol):
    """What serves the requests."""

    def refusal(self, request: Request) -> Refusal | None:
        """Why the body of this request need not be read, or None. Only the headers are there."""
        ...

    def serve(self, request: Request, respond: Callable[[Reply], None]) -> None:
        """Calls `respond` exactly once, now or later, on the loop."""
        ...

    def refuse(self, request: Request, refusal: Refusal) -> Reply:
        """The answer where `serve` is not asked."""
        ...


class Connections:
    """All connections of this process, and the one timer that watches their deadlines."""

    def __init__(self, application: Application) -> None:
        self.application = application
        self.open: set[HttpConnection] = set()
        self.is_closing = False
        self._timer: asyncio.TimerHandle | None = None

    def add(self, connection: HttpConnection) -> None:
        self.open.add(connection)
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(SWEEP_SECONDS, self._sweep)

    def _sweep(self) -> None:
        loop = asyncio.get_running_loop()
        now = loop.time()
        for connection in [each for each in self.open if each.due_at <= now]:
            connection.overdue()
        self._timer = loop.call_later(SWEEP_SECONDS, self._sweep) if self.open else None

    async def close(self, *, within_seconds: float) -> None:
        """No connection is left: idle ones end now, the others after their answer, or when the time is over."""
        self.is_closing = True
        for connection in list(self.open):
            connection.end_when_idle()
        deadline = asyncio.get_running_loop().time() + within_seconds
        while self.open and asyncio.get_running_loop().time() < deadline:
            await asyncio.sleep(0.02)
        for connection in list(self.open):
            connection.abort()


class HttpConnection(asyncio.Protocol):
    """One sender's connection. `due_at` is when the sender must have moved on, by the loop's clock."""

    def __init__(self, connections: Connections) -> None:
        self._connections = connections
        self._application = connections.application
        self._loop = asyncio.get_running_loop()
        self._parser = httptools.HttpRequestParser(self)
        self._request = Request()
        self._body: list[bytes] = []
        self._header_bytes = 0  # of the message that is coming in; 0 between messages
        self._ready: deque[Request] = deque()  # parsed, and behind the one at work where the sender pipelines
        self._is_serving = False
        self._is_done_reading = False  # the rest is thrown away
        self._is_paused = False
        self._discarded_bytes = 0
        self._transport: Any = None  # uvloop's transports have the methods without asyncio's base classes
        self._client = ""
        self.due_at = self._loop.time() + HEADER_DEADLINE_SECONDS

    # asyncio

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport
        peer = transport.get_extra_info("peername")
        self._client = str(peer[0]) if isinstance(peer, tuple) else ""
        self._connections.add(self)
        if len(self._connections.open) > CONNECTIONS_LIMIT_COUNT or self._connections.is_closing:
            self.abort()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002  (asyncio's signature)
        self._transport = None
        self._connections.open.discard(self)

    def data_received(self, data: bytes) -> None:
        if self._is_done_reading:
            self._discarded_bytes += len(data)
            if self._discarded_bytes > DISCARD_LIMIT_BYTES:
                self.abort()
            return
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            pass  # there is nothing to upgrade to: the request itself is served
        except httptools.HttpParserInvalidMethodError:
            self._give_up_reading(Refusal(Problem.METHOD_NOT_ALLOWED))
        except httptools.HttpParserError as error:
            log.info("request_malformed", extra={"error": str(error)})
            self._give_up_reading(Refusal(Problem.REQUEST_MALFORMED))
        if not self._is_serving:
            self._serve_next()
        elif not self._is_done_reading and not self._is_paused:
            self._is_paused = True
            self._transport.pause_reading()  # one at a time: what a sender pipelines waits in its own buffers

    def eof_received(self) -> bool:
        """True keeps our half open, for the answers that are still to come."""
        if self._header_bytes and not self._is_done_reading:
            self._give_up_reading(Refusal(Problem.BODY_INCOMPLETE))
            if not self._is_serving:
                self._serve_next()
        return self._is_serving

    # httptools

    def on_message_begin(self) -> None:
        self._request = Request(client=self._client)
        self._header_bytes = 1
        if not self._is_serving:
            self.due_at = self._loop.time() + HEADER_DEADLINE_SECONDS

    def on_url(self, url: bytes) -> None:
        self._request.path += url
        self._count(len(url))

    def on_header(self, name: bytes, value: bytes) -> None:
        key, text = name.decode("latin-1").lower(), value.decode("latin-1")
        headers = self._request.headers
        headers[key] = f"{headers[key]}, {text}" if key in headers else text
        self._count(len(name) + len(value))

    def on_headers_complete(self) -> None:
        if self._is_done_reading:
            return
        request, parser = self._request, self._parser
        request.method = parser.get_method().decode("ascii")
        request.version = parser.get_http_version()
        request.keeps_alive = parser.should_keep_alive()
        request.path, _, query = request.path.partition(b"?")
        request.query = query.decode("latin-1")
        if not self._is_serving:
            self.due_at = self._loop.time() + BODY_DEADLINE_SECONDS
        if (refusal := self._application.refusal(request)) is not None:
            self._give_up_reading(refusal)
        elif request.headers.get("expect", "").lower() == "100-continue" and not self._is_serving:
            self._transport.write(CONTINUE)

    def on_body(self, body: bytes) -> None:
        self._body.append(body)

    def on_message_complete(self) -> None:
        body, self._body = self._body, []
        if self._is_done_reading:
            return
        self._header_bytes = 0
        self._request.body = body[0] if len(body) == 1 else b"".join(body)
        self._ready.append(self._request)

    def _count(self, size_bytes: int) -> None:
        self._header_bytes += size_bytes
        if self._header_bytes > HEADER_LIMIT_BYTES and not self._is_done_reading:
            self._give_up_reading(Refusal(Problem.REQUEST_MALFORMED))

    def _give_up_reading(self, refusal: Refusal) -> None:
        """The message that is coming in is refused, in its turn; nothing after it is read as HTTP."""
        self._is_done_reading = True
        self._request.refusal = refusal
        self._request.keeps_alive = False
        self._ready.append(self._request)

    # serving

    def _serve_next(self) -> None:
        if not self._ready or self._transport is None:
            return
        request = self._ready.popleft()
        self._is_serving = True
        self.due_at = NEVER  # from here on it is our own time that passes
        if request.refusal is not None:
            self._respond(request, self._application.refuse(request, request.refusal))
            return
        self._application.serve(request, partial(self._respond, request))

    def _respond(self, request: Request, reply: Reply) -> None:
        self._is_serving = False
        transport = self._transport
        if transport is None:
            return  # gone meanwhile; what was promised is found by its retry
        keeps_alive = request.keeps_alive and not self._connections.is_closing
        transport.write(response_bytes(reply, keeps_alive=keeps_alive, with_body=request.method != "HEAD"))
        if request.refusal is not None:
            self._discard_the_rest()
        elif not keeps_alive:
            transport.close()
        else:
            self.due_at = self._loop.time() + (BODY_DEADLINE_SECONDS if self._header_bytes else IDLE_LIMIT_SECONDS)
            if self._ready:
                self._loop.call_soon(self._serve_next)
            if self._is_paused:
                self._is_paused = False
                transport.resume_reading()

    def _discard_the_rest(self) -> None:
        """Closed at once, unread bytes would reset the connection, and the sender would never see the answer."""
        self.due_at = self._loop.time() + BODY_DEADLINE_SECONDS
        if self._transport.can_write_eof():
            self._transport.write_eof()
        self._transport.resume_reading()

    # ending

    def overdue(self) -> None:
        """The sender is too slow, or idle for too long."""
        if self._header_bytes and not self._is_done_reading:
            self._give_up_reading(Refusal(Problem.BODY_TIMEOUT))
            self._serve_next()
        elif self._transport is not None:
            self._transport.close()
            self.due_at = NEVER

    def end_when_idle(self) -> None:
        if self._transport is not None and not self._is_serving and not self._header_bytes:
            self._transport.close()

    def abort(self) -> None:
        if self._transport is not None:
            self._transport.abort()


def response_bytes(reply: Reply, *, keeps_alive: bool, with_body: bool) -> bytes:
    """The answer on the wire."""
    head = [
        STATUS_LINES.get(reply.status) or f"HTTP/1.1 {reply.status} -\r\n".encode(),
        f"content-type: {reply.content_type}\r\ncontent-length: {len(reply.body)}\r\n".encode("latin-1"),
        _date_line(),
    ]
    head += [f"{name.lower()}: {value}\r\n".encode("latin-1") for name, value in reply.headers]
    if not keeps_alive:
        head.append(b"connection: close\r\n")
    head.append(b"\r\n")
    if with_body:
        head.append(reply.body)
    return b"".join(head)


_date: tuple[int, bytes] = (0, b"")


def _date_line() -> bytes:
    global _date
    second = int(time.time())
    if _date[0] != second:  # one text a second instead of one an answer
        _date = (second, f"date: {formatdate(second, usegmt=True)}\r\n".encode())
    return _date[1]
