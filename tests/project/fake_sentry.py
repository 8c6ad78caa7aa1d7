"""A Sentry ingest server on loopback that keeps what it is sent."""

from __future__ import annotations

import gzip
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

PATIENCE_SECONDS = 30.0


@dataclass(slots=True)
class FakeSentry:
    port: int
    envelopes: list[bytes] = field(default_factory=list)

    @property
    def dsn(self) -> str:
        return f"http://publickey@127.0.0.1:{self.port}/1"

    def events(self) -> list[dict[str, Any]]:
        """Every error event so far. An envelope is lines: its header, then a header and a body for each item."""
        found = []
        for envelope in list(self.envelopes):
            lines = envelope.split(b"\n")[1:]
            for header, body in zip(lines[::2], lines[1::2], strict=False):
                if header and json.loads(header)["type"] == "event":
                    found.append(json.loads(body))
        return found

    def wait_for_event(self) -> dict[str, Any]:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not (events := self.events()):
            assert time.monotonic() < deadline, "no event came"
            time.sleep(0.05)
        return events[0]


@contextmanager
def fake_sentry() -> Iterator[FakeSentry]:
    class Ingest(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            if self.headers.get("Content-Encoding") == "gzip":
                body = gzip.decompress(body)
            sentry.envelopes.append(body)
            self.send_response(200)
            self.send_header("Content-Length", "2")
            self.end_headers()
            self.wfile.write(b"{}")

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  (the base class's name)
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Ingest)
    sentry = FakeSentry(port=server.server_port)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield sentry
    finally:
        server.shutdown()
        server.server_close()
