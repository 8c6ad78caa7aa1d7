"""Acks as a group: every envelope that waits goes to Redis in one write; each request is answered when its own reply is
there.

With `appendfsync always` the server syncs once for all commands that it read together, so a group costs one fsync
instead of one an ack. While it syncs one group the next is already on its way: with one group alone in flight it would
idle for as long as this process takes to read the answers.
Where the outcome is unknown (timeout, lost connection) the waiting requests get Unavailable: nothing was promised,
and the provider's retry finds what
was stored as a duplicate.
"""

from __future__ import annotations

import asyncio
import logging
import ssl
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import hiredis
from redis.asyncio.connection import SSLConnection, UnixDomainSocketConnection, parse_url

from ingestion.buffer.append import script

CONNECT_TIMEOUT_SECONDS = 0.3
ANSWER_TIMEOUT_SECONDS = 0.8  # with the rest of the request this is an answer within a second
RECONNECT_PAUSE_SECONDS = 0.1
WATCH_EVERY_SECONDS = 0.05
GROUP_LIMIT_BYTES = 4_000_000  # what Redis works off well within the answer timeout; the rest waits for the next group
GROUPS_IN_FLIGHT = 2
BEHIND_COUNT = (
    128  # acks at once that are no sign of trouble: at 1,000/s a disk may take a quarter of a second for them
)
BEHIND_SECONDS = 0.02
WAITING_LIMIT_COUNT = 20_000  # requests in memory; above it the process sheds load instead of growing

log = logging.getLogger(__name__)


class Unavailable(Exception):
    """Redis did not take it, or did not say so in time."""


type Answered = Callable[[Any], None]  # called once, with Redis's reply or with Unavailable


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
            tls=_tls(options) if kind is SSLConnection else None,
            greeting=tuple(greeting),
        )


def _tls(options: dict[str, Any]) -> ssl.SSLContext:
    """As every other client of REDIS_URL understands its ssl_… options."""
    given = {name: value for name, value in options.items() if name.startswith("ssl_")}
    context: ssl.SSLContext = SSLConnection(**given).ssl_context.get()
    return context


@dataclass(slots=True)
class _Waiting:
    words: Sequence[bytes]
    answered: Answered | None  # None once it was called
    due_at: float  # of the loop's clock
    was_reloaded: bool = False
    ends_group: bool = False

    def settle(self, answer: Any) -> None:
        """Tells the request, unless it was told before."""
        answered, self.answered = self.answered, None
        if answered is None:
            return
        try:
            answered(answer)
        except Exception:
            log.exception("ack_failed")  # one request's fault must not cost the others of the group their answers

    def fail(self, error: Exception) -> None:
        self.settle(Unavailable(str(error)))


class _Wire(asyncio.Protocol):
    """One connection: bytes out, replies in order."""

    def __init__(self, owner: GroupCommit) -> None:
        self._owner = owner
        self._reader = hiredis.Reader()

    def data_received(self, data: bytes) -> None:
        self._owner.heard(self)
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
        self._waiting: deque[_Waiting] = deque()
        self._again_count = 0  # how many of the waiting, at the front, were sent before and go again
        self._in_flight: deque[_Waiting] = deque()
        self._groups_in_flight = 0
        self._transport: asyncio.WriteTransport | None = None
        self._wire: _Wire | None = None
        self._flush_is_due = False
        self._connecting: asyncio.Task[None] | None = None
        self._heard_at = 0.0
        self._lost_at = -RECONNECT_PAUSE_SECONDS
        self._watchdog: asyncio.TimerHandle | None = None
        self._outage_is_logged = False

    async def commit(self, words: Sequence[bytes]) -> Any:
        """The server's reply to these words. Raises Unavailable within about a second, whatever Redis does."""
        reply: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self.enqueue(words, partial(_resolve, reply))
        answer = await reply
        if isinstance(answer, Unavailable):
            raise answer
        return answer

    def enqueue(self, words: Sequence[bytes], answered: Answered) -> None:
        """`answered` gets the server's reply to these words, or Unavailable, within about a second."""
        loop = asyncio.get_running_loop()
        waiting = _Waiting(words, answered, loop.time() + ANSWER_TIMEOUT_SECONDS)
        if len(self._waiting) + len(self._in_flight) >= WAITING_LIMIT_COUNT:
            waiting.fail(Unavailable(f"{WAITING_LIMIT_COUNT} acks wait already"))
            return
        self._waiting.append(waiting)
        if self._watchdog is None:
            self._watchdog = loop.call_at(waiting.due_at, self._watch)
        if self._transport is None:
            if self._connecting is None:
                self._connecting = loop.create_task(self._connect())
        elif not self._flush_is_due and not self._again_count and self._groups_in_flight < GROUPS_IN_FLIGHT:
            # after the callbacks that are ready now: they may bring more envelopes
            self._flush_is_due = True
            loop.call_soon(self._flush)

    def is_behind(self) -> bool:
        """True while Redis has many acks before it and the oldest has waited for long: one more would be late too."""
        if len(self._waiting) + len(self._in_flight) < BEHIND_COUNT:
            return False
        oldest = self._in_flight[0] if self._in_flight else self._waiting[0]
        waited_seconds = time.monotonic() - oldest.due_at + ANSWER_TIMEOUT_SECONDS
        return waited_seconds > BEHIND_SECONDS

    def _flush(self) -> None:
        """Sends the next group, in the order of arrival, without those given up while waiting.

        Nothing of them is stored.
        """
        self._flush_is_due = False
        if self._transport is None or self._groups_in_flight >= GROUPS_IN_FLIGHT:
            return
        packed: list[bytes] = []
        size_bytes = 0
        while self._waiting and size_bytes < GROUP_LIMIT_BYTES:
            each = self._waiting.popleft()
            self._again_count = max(self._again_count - 1, 0)
            if each.answered is None:
                continue
            packed.append(_packed(each.words))
            size_bytes += len(packed[-1])
            self._in_flight.append(each)
        if packed:
            self._in_flight[-1].ends_group = True
            self._groups_in_flight += 1
            self._transport.write(b"".join(packed))
            self._heard_at = asyncio.get_running_loop().time()

    def _watch(self) -> None:
        """Gives up what is overdue: a request that waits too long, and the connection when Redis is silent."""
        self._watchdog = None
        loop = asyncio.get_running_loop()
        now = loop.time()
        overdue = TimeoutError("Redis did not answer in time")
        # less a watch: a request's time runs from its arrival, the connection's from the flush a moment later, and what
        # comes between the two ends must not go to a silent server
        silent_at = self._heard_at + ANSWER_TIMEOUT_SECONDS - WATCH_EVERY_SECONDS
        if self._in_flight and self._transport is not None and now >= silent_at:
            self.lost(self._wire, overdue)
        pending = [each for each in (*self._in_flight, *self._waiting) if each.answered is not None]
        for each in pending:
            if each.due_at <= now:
                each.fail(overdue)  # its reply, should it still come, goes to nobody: the retry finds a duplicate
        if pending or self._in_flight:
            first_due_at = min((each.due_at for each in pending if each.due_at > now), default=now)
            self._watchdog = loop.call_at(max(first_due_at, now + WATCH_EVERY_SECONDS), self._watch)

    def heard(self, wire: _Wire) -> None:
        """Redis lives and works: the connection is kept."""
        if wire is self._wire:
            self._heard_at = asyncio.get_running_loop().time()

    def replied(self, wire: _Wire, reply: Any) -> None:
        if wire is not self._wire or not self._in_flight:
            return  # an old connection's last words
        waiting = self._in_flight.popleft()
        ends_group, waiting.ends_group = waiting.ends_group, False
        self._groups_in_flight -= ends_group
        if isinstance(reply, hiredis.ReplyError):
            self._refused(waiting, reply)
        else:
            waiting.settle(reply)
        if ends_group and self._waiting:
            self._flush()

    def _refused(self, waiting: _Waiting, error: Exception) -> None:
        if str(error).startswith("NOSCRIPT") and not waiting.was_reloaded and self._transport is not None:
            # nobody was answered yet, so going again before those who came later keeps the order of arrival
            waiting.was_reloaded = True
            if not self._again_count:
                self._go_again(_Waiting((b"SCRIPT", b"LOAD", script("append").source), _ignored, waiting.due_at))
            self._go_again(waiting)
            return
        waiting.fail(error)
        if str(error).startswith("READONLY"):
            self.lost(self._wire, error)  # no longer the primary: the address may lead to the new one

    def _go_again(self, waiting: _Waiting) -> None:
        self._waiting.insert(self._again_count, waiting)
        self._again_count += 1

    def lost(self, wire: _Wire | None, error: Exception) -> None:
        if wire is not self._wire:
            return
        transport, self._transport, self._wire = self._transport, None, None
        self._lost_at = asyncio.get_running_loop().time()
        if transport is not None:
            transport.abort()
            log.warning("buffer_connection_lost", extra={"error": str(error), "in_flight": len(self._in_flight)})
        self._groups_in_flight = 0
        _fail_each(self._in_flight, error)
        if self._waiting and self._connecting is None:
            self._connecting = asyncio.get_running_loop().create_task(self._connect())  # nothing of them was sent

    async def _connect(self) -> None:
        """Connects once. Where it fails, all who waited for it are refused; who comes later starts the next attempt."""
        try:
            # a server that takes connections and drops them must not be asked for a new one with each request
            await asyncio.sleep(max(self._lost_at + RECONNECT_PAUSE_SECONDS - asyncio.get_running_loop().time(), 0))
            async with asyncio.timeout(CONNECT_TIMEOUT_SECONDS):
                await self._open()
        except Exception as error:  # noqa: BLE001  (whatever it is, nobody may wait for ever behind it)
            self._lost_at = asyncio.get_running_loop().time()
            if not self._outage_is_logged:  # once: ten lines a second would tell no more
                log.warning("buffer_not_connected", extra={"error": f"{type(error).__name__}: {error}"})
            self._outage_is_logged = True
            self._again_count = 0
            _fail_each(self._waiting, error)
        else:
            self._outage_is_logged = False
        finally:
            self._connecting = None
        if self._transport is not None:
            self._flush()

    async def _open(self) -> None:
        loop = asyncio.get_running_loop()
        wire = _Wire(self)
        address = self._address
        transport: Any  # uvloop's transports are no asyncio.WriteTransport, but have its methods
        if address.path:
            transport, _ = await loop.create_unix_connection(lambda: wire, address.path)
        else:
            transport, _ = await loop.create_connection(lambda: wire, address.host, address.port, ssl=address.tls)
        self._wire = wire
        commands = [tuple(word.encode() for word in words) for words in address.greeting]
        commands.append((b"SCRIPT", b"LOAD", script("append").source))
        replies: list[asyncio.Future[Any]] = [loop.create_future() for _ in commands]
        due_at = loop.time() + ANSWER_TIMEOUT_SECONDS
        self._in_flight.extend(
            _Waiting(words, partial(_resolve, reply), due_at) for words, reply in zip(commands, replies, strict=True)
        )
        transport.write(b"".join([_packed(words) for words in commands]))
        try:
            for reply in replies:
                if isinstance(answer := await reply, Unavailable):
                    raise answer
            if self._wire is not wire:
                raise ConnectionError("Redis closed the connection after the greeting")
        except BaseException:
            self._wire = None
            self._in_flight.clear()
            transport.abort()
            raise
        self._transport = transport


def _fail_each(doomed: deque[_Waiting], error: Exception) -> None:
    """Each has its refusal afterwards, and the queue is empty."""
    while doomed:
        doomed.popleft().fail(error)


def _resolve(future: asyncio.Future[Any], answer: Any) -> None:
    if not future.done():  # its waiter may be gone
        future.set_result(answer)


def _ignored(_: Any) -> None:
    """A failure shows at the append that follows."""


def _packed(words: Sequence[bytes]) -> bytes:
    return bytes(hiredis.pack_command(tuple(words)))  # type: ignore[arg-type]  # its stub means a tuple of one
