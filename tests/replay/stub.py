"""A webhook service in miniature on a real socket, whose answers a test decides."""

import asyncio
import hashlib
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from uuid import UUID


@dataclass(frozen=True, slots=True)
class Request:
    number: int
    head: bytes
    body: bytes

    def header(self, name: str) -> str:
        for line in self.head.decode("latin-1").split("\r\n")[1:]:
            found, _, text = line.partition(": ")
            if found.lower() == name.lower():
                return text
        return ""


@dataclass(frozen=True, slots=True)
class Reply:
    status: int
    body: bytes = b"{}"
    headers: str = ""


class Hang:
    """No answer, ever."""


class Drop:
    """The connection is closed without an answer."""


type Behaviour = Callable[[Request], Reply | Hang | Drop]


@dataclass
class StubService:
    """Accepts like the real one: gapless sequences, one receipt an identity. `behave` may decide otherwise."""

    behave: Behaviour | None = None
    requests: list[Request] = field(default_factory=list)
    receipts: dict[tuple[str, str], str] = field(default_factory=dict)
    port: int = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def accept(self, request: Request) -> Reply:
        event = json.loads(request.body)
        identity = event["id"], event["type"]
        status = "duplicate" if identity in self.receipts else "accepted"
        if identity not in self.receipts:
            number = len(self.receipts) + 1
            event_id = UUID(int=number << 12)
            digest = hashlib.sha256(request.body).hexdigest()
            self.receipts[identity] = f"acr1 {event_id} 0 1 {number} {digest} 1767225600000000 0a0b0c0d {'ab' * 32}"
        receipt = self.receipts[identity]
        answer = {"request_id": receipt.split(" ")[1], "status": status, "events": 1, "receipt": receipt}
        return Reply(202, json.dumps(answer).encode())

    def reply(self, head: bytes, body: bytes) -> Reply | Hang | Drop:
        request = Request(len(self.requests), head, body)
        self.requests.append(request)
        return self.behave(request) if self.behave else self.accept(request)


@contextmanager
def stub_service(behave: Callable[[StubService], Behaviour] | None = None) -> Iterator[StubService]:
    """Serves on a port of its own until the block ends."""
    service = StubService()
    service.behave = behave(service) if behave else None
    loop = asyncio.new_event_loop()
    server = loop.run_until_complete(asyncio.start_server(lambda r, w: _serve(service, r, w), "127.0.0.1", 0))
    service.port = server.sockets[0].getsockname()[1]
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        yield service
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        server.close()
        for task in asyncio.all_tasks(loop):
            task.cancel()
        loop.run_until_complete(asyncio.sleep(0.01))
        loop.close()


async def _serve(service: StubService, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while True:
            head = await reader.readuntil(b"\r\n\r\n")
            length = Request(0, head[:-4], b"").header("content-length")
            body = await reader.readexactly(int(length))
            match service.reply(head[:-4], body):
                case Drop():
                    return
                case Hang():
                    await asyncio.sleep(3_600)
                case Reply(status, content, headers):
                    writer.write(
                        f"HTTP/1.1 {status} X\r\n{headers}Content-Length: {len(content)}\r\n\r\n".encode() + content
                    )
                    if "close" in headers:
                        await writer.drain()
                        return
    except (asyncio.IncompleteReadError, asyncio.CancelledError, ConnectionError):
        pass
    finally:
        writer.close()
