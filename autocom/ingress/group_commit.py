"""Acks as a group: every envelope that waits goes to Redis in one write; each request is answered when its own reply is there.

With `appendfsync always` the server syncs once for all commands that it read together, so a group costs one fsync instead of one an ack.
Where the outcome is unknown (timeout, lost connection) the waiting requests get Unavailable: nothing was promised, and the provider's retry finds what
was stored as a duplicate.
"""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import hiredis
from redis.connection import SSLConnection, UnixDomainSocketConnection, parse_url

from ingestion.buffer.append import script

CONNECT_TIMEOUT_SECONDS = 0.3
ANSWER_TIMEOUT_SECONDS = 0.8  # with the rest of the request this is an answer within a second
RECONNECT_PAUSE_SECONDS = 0.1
WAITING_LIMIT_COUNT = 20_000  # requests in memory; above it the process sheds load instead of growing

log = logging.getLogger(__name__)


class Unavailable(Exception):
    """Redis did not take it, or did not say so in time."""


@dataclass(frozen=True, slots=True)
class Address:
    """Where Redis is, as REDIS_URL says."""

    path: str | None
    host: str
    port: int
    tls: ssl.SSLContext | None
    greeting: tuple[tuple[str, ...], ...]  # AUTH and SELECT, as far as needed

    @classmethod
    def parse(cls, url: str) -> Address:
        options: dict[str, Any] = dict(parse_url(url))
        kind = options.get("connection_class")
        greeting: list[tuple[str, ...]] = []
        if password := options.get("password"):
            user = options.get("username")
            greeting.append(("AUTH", user, password) if user else ("AUTH", password))
        if database := options.get("db"):
            greeting.append(("SELECT", str(database)))
        return cls(
            path=options.get("path") if kind is UnixDomainSocketConnection else None,
            host=options.get("host", "localhost"),
            port=int(options.get("port", 6379)),
            tls=ssl.create_default_context() if kind is SSLConnection else None,
            greeting=tuple(greeting),
        )


@dataclass(slots=True)
class _Waiting:
    words: Sequence[bytes]
    answer: asyncio.Future[Any]
    was_reloaded: bool = False


class _Wire(asyncio.Protocol):
    """One connection: bytes out, replies in order."""

    def __init__(self, owner: GroupCommit) -> None:
        self._owner = owner
        self._reader = hiredis.Reader()

    def data_received(self, data: bytes) -> None:
        self._reader.feed(data)
        try:
            while (reply := self._reader.gets()) is not False:
                self._owner.replied(self, reply)
        except hiredis.ProtocolError as error:
            self._owner.lost(self, error)

    def connection_lost(self, exc: Exception | None) -> None:
        self._owner.lost(self, exc or ConnectionError("Redis closed the connection"))


class GroupCommit:
    """One connection to Redis, shared by all requests of this process. Lives on its event loop."""

    def __init__(self, url: str) -> None:
        self._address = Address.parse(url)
        self._waiting: list[_Waiting] = []
        self._in_flight: deque[_Waiting] = deque()
        self._transport: asyncio.WriteTransport | None = None
        self._wire: _Wire | None = None
        self._flush_is_due = False
        self._connecting: asyncio.Task[None] | None = None
        self._sent_at = 0.0
        self._watchdog: asyncio.TimerHandle | None = None

    async def commit(self, words: Sequence[bytes]) -> Any:
        """The server's reply to these words. Raises Unavailable within about a second, whatever Redis does."""
        loop = asyncio.get_running_loop()
        if len(self._waiting) + len(self._in_flight) >= WAITING_LIMIT_COUNT:
            raise Unavailable(f"{WAITING_LIMIT_COUNT} acks wait already")
        waiting = _Waiting(words, loop.create_future())
        self._waiting.append(waiting)
        if self._transport is None:
            if self._connecting is None:
                self._connecting = loop.create_task(self._connect())
        elif not self._flush_is_due and not self._in_flight:
            # after the callbacks that are ready now: they may bring more envelopes
            self._flush_is_due = True
            loop.call_soon(self._flush)
        return await waiting.answer

    def _flush(self) -> None:
        self._flush_is_due = False
        if self._transport is None or not self._waiting:
            return
        group, self._waiting = self._waiting, []
        self._transport.write(b"".join([hiredis.pack_command(tuple(each.words)) for each in group]))
        self._in_flight.extend(group)
        loop = asyncio.get_running_loop()
        self._sent_at = loop.time()
        if self._watchdog is None:
            self._watchdog = loop.call_later(ANSWER_TIMEOUT_SECONDS, self._watch)

    def _watch(self) -> None:
        """Gives up the connection when the oldest group is overdue."""
        self._watchdog = None
        if not self._in_flight:
            return
        loop = asyncio.get_running_loop()
        overdue_at = self._sent_at + ANSWER_TIMEOUT_SECONDS
        if loop.time() >= overdue_at:
            self.lost(self._wire, TimeoutError("Redis did not answer in time"))
        else:
            self._watchdog = loop.call_at(overdue_at, self._watch)

    def replied(self, wire: _Wire, reply: Any) -> None:
        if wire is not self._wire or not self._in_flight:
            return  # a greeting's OK, or an old connection's last words
        waiting = self._in_flight.popleft()
        if isinstance(reply, hiredis.ReplyError):
            self._refused(waiting, reply)
        elif not waiting.answer.done():
            waiting.answer.set_result(reply)
        if not self._in_flight and self._waiting:
            self._flush()

    def _refused(self, waiting: _Waiting, error: Exception) -> None:
        if str(error).startswith("NOSCRIPT") and not waiting.was_reloaded and self._transport is not None:
            # nobody was answered yet, so going again behind the others breaks no promised order
            waiting.was_reloaded = True
            self._waiting.append(_Waiting((b"SCRIPT", b"LOAD", script("append").source), _ignored()))
            self._waiting.append(waiting)
            return
        if not waiting.answer.done():
            waiting.answer.set_exception(Unavailable(str(error)))

    def lost(self, wire: _Wire | None, error: Exception) -> None:
        if wire is not self._wire:
            return
        transport, self._transport, self._wire = self._transport, None, None
        if transport is not None:
            transport.abort()
            log.warning("buffer_connection_lost", extra={"error": str(error), "in_flight": len(self._in_flight)})
        self._fail_all(error)

    def _fail_all(self, error: Exception) -> None:
        doomed = [*self._in_flight, *self._waiting]
        self._in_flight.clear()
        self._waiting = []
        for each in doomed:
            if not each.answer.done():
                each.answer.set_exception(Unavailable(str(error)))

    async def _connect(self) -> None:
        """Connects once. While it fails, requests are refused at once instead of piling up behind it."""
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT_SECONDS):
                await self._open()
        except (OSError, TimeoutError, Unavailable) as error:
            self._fail_all(error)
            await asyncio.sleep(RECONNECT_PAUSE_SECONDS)
            self._fail_all(error)
        finally:
            self._connecting = None
        if self._transport is not None:
            self._flush()

    async def _open(self) -> None:
        loop = asyncio.get_running_loop()
        wire = _Wire(self)
        address = self._address
        transport: asyncio.BaseTransport
        if address.path:
            transport, _ = await loop.create_unix_connection(lambda: wire, address.path)
        else:
            transport, _ = await loop.create_connection(lambda: wire, address.host, address.port, ssl=address.tls)
        if not isinstance(transport, asyncio.WriteTransport):
            transport = _as_write_transport(transport)
        self._wire = wire
        greeting = [_Waiting(tuple(word.encode() for word in words), loop.create_future()) for words in address.greeting]
        greeting.append(_Waiting((b"SCRIPT", b"LOAD", script("append").source), loop.create_future()))
        self._in_flight.extend(greeting)
        transport.write(b"".join([hiredis.pack_command(tuple(each.words)) for each in greeting]))
        try:
            await asyncio.gather(*(each.answer for each in greeting))
        except BaseException:
            self._wire = None
            self._in_flight.clear()
            transport.abort()
            raise
        self._transport = transport


def _as_write_transport(transport: asyncio.BaseTransport) -> Any:
    return transport  # uvloop's transports have the methods without the base class


def _ignored() -> asyncio.Future[Any]:
    future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
    future.add_done_callback(lambda done: done.cancelled() or done.exception())  # a failure shows at the append that follows
    return future
