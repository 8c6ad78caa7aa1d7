"""A TCP proxy between two parts of the service, with the faults of a network: toxiproxy's names where it has one."""

from __future__ import annotations

import asyncio
import contextlib
import random
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

CHUNK_BYTES = 65_536
type Watch = Callable[[bytes], bool]  # True: cut the connection once these bytes have gone to the server


@dataclass(slots=True)
class Weather:
    """What the network does now. All off: bytes pass as they come."""

    latency_ms: float = 0.0
    jitter_ms: float = 0.0
    bandwidth_bytes: float = 0.0  # a second; 0: as fast as it goes
    slice_bytes: int = 0  # no more than so many bytes at once; 0: as they come
    is_blackhole: bool = False  # nothing passes, nothing is closed: a half-open link, and what it held stays so
    is_down: bool = False  # connections are refused
    cut_after: Watch | None = None


@dataclass(eq=False)
class Proxy:
    """Listens on a loopback port and passes everything to one unix socket or port. Runs on a thread of its own."""

    upstream: str | tuple[str, int]
    weather: Weather = field(default_factory=Weather)
    port: int = 0
    cut_count: int = 0

    def __post_init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._open: set[asyncio.StreamWriter] = set()
        self._rng = random.Random(1)
        self._started = threading.Event()
        self._thread = threading.Thread(target=self._run, name="proxy", daemon=True)

    def start(self) -> None:
        self._thread.start()
        self._started.wait()

    def stop(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(5)

    def reset_all(self) -> None:
        """Every connection ends at once, in the middle of whatever was said."""
        self._loop.call_soon_threadsafe(self._abort_all)

    @contextmanager
    def under(self, weather: Weather) -> Iterator[None]:
        """This weather inside the block, the clear sky after it; connections that it harmed end with it."""
        self.weather = weather
        if weather.is_down:
            self.reset_all()
        try:
            yield
        finally:
            self.weather = Weather()

    def _abort_all(self) -> None:
        for writer in tuple(self._open):
            writer.transport.abort()

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        server = self._loop.run_until_complete(asyncio.start_server(self._serve, "127.0.0.1", self.port))
        self.port = server.sockets[0].getsockname()[1]
        self._started.set()
        self._loop.run_forever()
        server.close()
        self._abort_all()
        for task in asyncio.all_tasks(self._loop):
            task.cancel()
        self._loop.run_until_complete(asyncio.sleep(0))
        self._loop.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self.weather.is_down:
            writer.transport.abort()
            return
        try:
            there = await self._connect()
        except OSError:
            writer.transport.abort()
            return
        up_reader, up_writer = there
        ends = (writer, up_writer)
        self._open.update(ends)
        try:
            await asyncio.gather(
                self._pass(reader, up_writer, both=ends, is_request=True),
                self._pass(up_reader, writer, both=ends, is_request=False),
            )
        except (OSError, asyncio.CancelledError):
            pass
        finally:
            for each in ends:
                self._open.discard(each)
                each.transport.abort()

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        if isinstance(self.upstream, str):
            return await asyncio.open_unix_connection(self.upstream)
        return await asyncio.open_connection(*self.upstream)

    async def _pass(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, both: Any, is_request: bool
    ) -> None:
        while data := await reader.read(self.weather.slice_bytes or CHUNK_BYTES):
            weather = self.weather
            if weather.latency_ms or weather.jitter_ms:
                await asyncio.sleep((weather.latency_ms + self._rng.random() * weather.jitter_ms) / 1_000)
            if weather.bandwidth_bytes:
                await asyncio.sleep(len(data) / weather.bandwidth_bytes)
            if self.weather.is_blackhole:  # for good: only the ends' own limits of time get them out of it
                await asyncio.sleep(3_600)
            writer.write(data)
            await writer.drain()
            if is_request and weather.cut_after is not None and weather.cut_after(data):
                self.cut_count += 1
                await asyncio.sleep(0.02)  # the server has it and works; its answer finds nobody
                for each in both:
                    each.transport.abort()
                return
        with contextlib.suppress(OSError):
            for each in both:
                each.close()
