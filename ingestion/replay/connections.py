"""The connections of a run: opened before the first send, reopened with short pauses when they break."""

import asyncio
import random
from typing import Final

from ingestion.replay.config import Target
from ingestion.replay.errors import ServiceUnreachableError
from ingestion.replay.http_client import Connection
from ingestion.replay.load import Load

FIRST_PAUSE_SECONDS: Final = 0.02
LONGEST_PAUSE_SECONDS: Final = 0.5
CONNECT_TIMEOUT_SECONDS: Final = 5.0


class ConnectionPool:
    """Keeps `count` connections open and hands each, once open, to the load."""

    def __init__(self, *, target: Target, count: int, load: Load) -> None:
        self._target = target
        self._count = count
        self._load = load
        self._is_closed = False
        self._live: set[Connection] = set()
        self._reconnects: set[asyncio.Task[None]] = set()

    async def open(self) -> None:
        """All connections are open. Raises ServiceUnreachableError when one of them cannot be opened."""
        for _ in range(self._count):
            try:
                await self._connect()
            except OSError as error:
                self.close()
                raise ServiceUnreachableError(
                    f"{self._target.url} does not answer ({error.strerror or type(error).__name__}); "
                    "nothing was sent. Is the service up (make up)?"
                ) from error

    def close(self) -> None:
        self._is_closed = True
        for task in self._reconnects:
            task.cancel()
        for connection in tuple(self._live):
            connection.close()

    async def _connect(self) -> None:
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(CONNECT_TIMEOUT_SECONDS):
            _, connection = await loop.create_connection(
                lambda: Connection(self._load, self._lost), self._target.host, self._target.port
            )
        if self._is_closed:
            connection.close()
            return
        self._live.add(connection)
        self._load.connected(connection)

    def _lost(self, connection: Connection) -> None:
        self._live.discard(connection)
        self._load.disconnected(connection)
        if self._is_closed:
            return
        task = asyncio.get_running_loop().create_task(self._reconnect())
        self._reconnects.add(task)
        task.add_done_callback(self._reconnects.discard)

    async def _reconnect(self) -> None:
        pause_seconds = FIRST_PAUSE_SECONDS
        while not self._is_closed:
            try:
                await self._connect()
            except OSError:
                await asyncio.sleep(pause_seconds * (0.5 + random.random()))  # noqa: S311 - jitter
                pause_seconds = min(2 * pause_seconds, LONGEST_PAUSE_SECONDS)
            else:
                return
