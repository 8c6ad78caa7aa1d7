"""A server that speaks Redis's protocol and misbehaves as told: for what a real one does only once in a while."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import hiredis

Command = tuple[bytes, ...]


@dataclass(slots=True, eq=False)
class Caller:
    """One connection to the fake. `write` is what it answers with."""

    number: int
    writer: asyncio.StreamWriter
    commands: list[Command] = field(default_factory=list)

    def write(self, *replies: bytes) -> None:
        if not self.writer.is_closing():
            self.writer.write(b"".join(replies))

    def hang_up(self) -> None:
        self.writer.transport.abort()

    @property
    def evals(self) -> list[Command]:
        return [command for command in self.commands if command[0] == b"EVALSHA"]


Answering = Callable[["FakeRedis", Caller, Command], None]


@dataclass(slots=True)
class FakeRedis:
    """Says OK to the greeting and gives each EVALSHA its last word back, unless `answering` says otherwise."""

    url: str
    answering: Answering
    callers: list[Caller] = field(default_factory=list)

    @property
    def commands(self) -> list[Command]:
        return [command for caller in self.callers for command in caller.commands]

    def names(self) -> list[bytes]:
        return [command[0] for command in self.commands]

    async def until(self, condition: Callable[[], bool]) -> None:
        """Returns once it is so; the test's own limit ends an endless wait."""
        while not condition():
            await asyncio.sleep(0.005)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        caller = Caller(len(self.callers) + 1, writer)
        self.callers.append(caller)
        parser: Any = hiredis.Reader()
        while data := await reader.read(1 << 20):
            parser.feed(data)
            while (command := parser.gets()) is not False:
                caller.commands.append(tuple(command))
                self.answering(self, caller, tuple(command))
        writer.close()


def bulk(value: bytes) -> bytes:
    return b"$%d\r\n%s\r\n" % (len(value), value)


def echo(_: FakeRedis, caller: Caller, command: Command) -> None:
    """A server in good health."""
    caller.write(bulk(command[-1]) if command[0] == b"EVALSHA" else b"+OK\r\n")


def only_greets(_: FakeRedis, caller: Caller, command: Command) -> None:
    """Answers the greeting; what becomes of the rest, the test decides."""
    if command[0] != b"EVALSHA":
        caller.write(b"+OK\r\n")


@asynccontextmanager
async def fake_redis(directory: Path, answering: Answering = echo, *, query: str = "") -> AsyncIterator[FakeRedis]:
    path = directory / "fake.sock"
    fake = FakeRedis(url=f"unix://{path}{query}", answering=answering)
    server = await asyncio.start_unix_server(fake.serve, path)
    try:
        yield fake
    finally:
        server.close()
        for caller in fake.callers:
            caller.hang_up()
        path.unlink(missing_ok=True)
