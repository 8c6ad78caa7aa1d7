"""A central endpoint on loopback: a real HTTP server that keeps what it is PUT and misbehaves as told."""

from __future__ import annotations

import hashlib
import json
import re
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

NO_HEADERS: Mapping[str, str] = {}
RESET = struct.pack("ii", 1, 0)  # SO_LINGER on with no time: closing sends a reset


@dataclass(frozen=True)
class Fault:
    """What happens to one PUT with a body. `after_bytes`: the connection is reset after so many of its bytes."""

    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    after_bytes: int | None = None
    drips: bool = False  # one byte of the answer now and then, for ever
    keeps: bytes | None = None  # stored instead of what came


@dataclass
class FakeEndpoint:
    port: int = 0
    takes_pieces: bool = True
    answers_head: bool = True
    names_digests: bool = True
    stored: dict[str, bytes] = field(default_factory=dict)
    partial: dict[str, bytearray] = field(default_factory=dict)
    faults: list[Fault] = field(default_factory=list)
    requests: list[tuple[str, str, str]] = field(default_factory=list)  # method, Content-Range, Authorization
    headers: list[dict[str, str]] = field(default_factory=list)
    received_bytes: int = 0
    arriving: Callable[[], None] = lambda: None  # at each part of a body

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/evidence"

    def ranges(self) -> list[str]:
        return [content_range for method, content_range, _ in self.requests if method == "PUT"]


class _Handler(BaseHTTPRequestHandler):
    endpoint: FakeEndpoint

    def log_message(self, *_: object) -> None:
        return

    def handle_one_request(self) -> None:
        try:
            super().handle_one_request()
        except (ConnectionError, TimeoutError):
            self.close_connection = True

    @property
    def name(self) -> str:
        return self.path.rpartition("/")[2]

    def noted(self) -> str:
        content_range = self.headers.get("Content-Range", "")
        self.endpoint.requests.append((self.command, content_range, self.headers.get("Authorization", "")))
        self.endpoint.headers.append({name.lower(): value for name, value in self.headers.items()})
        return content_range

    def answer(self, status: int, headers: Mapping[str, str] = NO_HEADERS, *, body: bytes = b"") -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        if "Content-Length" not in headers:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_HEAD(self) -> None:
        self.noted()
        content = self.endpoint.stored.get(self.name)
        if not self.endpoint.answers_head:
            return self.answer(405)
        if content is None:
            return self.answer(404)
        digest = {"X-Checksum-Sha256": hashlib.sha256(content).hexdigest()} if self.endpoint.names_digests else {}
        return self.answer(200, {"Content-Length": str(len(content)), **digest})

    def do_PUT(self) -> None:
        content_range = self.noted()
        size = int(self.headers["Content-Length"])
        if self.endpoint.faults and size:
            return self.misbehave(self.endpoint.faults.pop(0), size)
        if not content_range:
            self.endpoint.stored[self.name] = self.read(size)
            return self.created()
        if not self.endpoint.takes_pieces:
            return self.answer(501)
        return self.piece(content_range, size)

    def piece(self, content_range: str, size: int) -> None:
        total = int(content_range.rpartition("/")[2])
        had = self.endpoint.partial.setdefault(self.name, bytearray())
        if found := re.fullmatch(r"bytes (\d+)-(\d+)/\d+", content_range):
            assert int(found[1]) == len(had), "a piece must begin where the last one ended"
            had += self.read(size)
        if len(had) < total:
            return self.answer(308, {"Range": f"bytes=0-{len(had) - 1}"} if had else {})
        self.endpoint.stored[self.name] = bytes(self.endpoint.partial.pop(self.name))
        return self.created()

    def created(self) -> None:
        self.answer(201, {"Location": f"/kept/{self.name}"})

    def misbehave(self, fault: Fault, size: int) -> None:
        if fault.after_bytes is not None:
            self.take_some(fault.after_bytes)
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
            self.close_connection = True
            return None
        content = self.read(size)
        if fault.keeps is not None:
            self.endpoint.stored[self.name] = fault.keeps
        if fault.drips:
            return self.drip()
        assert content
        return self.answer(fault.status, fault.headers, body=fault.body)

    def take_some(self, count: int) -> None:
        content = self.read(count)
        if self.headers.get("Content-Range") and self.endpoint.takes_pieces:
            self.endpoint.partial.setdefault(self.name, bytearray()).extend(content)

    def drip(self) -> None:
        for byte in b"HTTP/1.1 201 Created\r\nX-Long: " + b"x" * 10_000:
            self.wfile.write(bytes([byte]))
            time.sleep(0.05)

    def read(self, size: int) -> bytes:
        parts = []
        while size and (part := self.rfile.read(min(size, 65_536))):
            size -= len(part)
            self.endpoint.received_bytes += len(part)
            parts.append(part)
            self.endpoint.arriving()
        return b"".join(parts)


@contextmanager
def fake_endpoint(**behaviour: bool) -> Iterator[FakeEndpoint]:
    endpoint = FakeEndpoint(**behaviour)  # type: ignore[arg-type]
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"endpoint": endpoint}))
    server.daemon_threads = True
    endpoint.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield endpoint
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def problem(status: int, detail: str) -> Fault:
    body = json.dumps({"title": "Refused", "detail": detail}).encode()
    return Fault(status=status, headers={"Content-Type": "application/problem+json"}, body=body)
