"""A collector on loopback that takes OTLP over HTTP and keeps the spans that it is sent, decoded."""

from __future__ import annotations

import gzip
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

PATIENCE_SECONDS = 60.0


@dataclass(slots=True)
class OtlpReceiver:
    port: int
    requests: list[tuple[str, dict[str, str], bytes]] = field(default_factory=list)  # path, headers, body

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def spans(self) -> list[Any]:
        return [span for _, scope in self._scopes() for span in scope.spans]

    def resource(self) -> dict[str, str]:
        (resource, _), *_ = self._scopes()
        return {each.key: each.value.string_value for each in resource.attributes}

    def _scopes(self) -> Iterator[tuple[Any, Any]]:
        for _, _, body in list(self.requests):
            for each in ExportTraceServiceRequest.FromString(body).resource_spans:
                yield from ((each.resource, scope) for scope in each.scope_spans)

    def wait_for_spans(self, count: int) -> list[Any]:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while len(spans := self.spans()) < count:
            assert time.monotonic() < deadline, f"{len(spans)} spans came, {count} are wanted"
            time.sleep(0.05)
        return spans


@contextmanager
def otlp_receiver(*, redirect_to: str = "") -> Iterator[OtlpReceiver]:
    class Collector(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            if self.headers.get("Content-Encoding") == "gzip":
                body = gzip.decompress(body)
            receiver.requests.append((self.path, {k.lower(): v for k, v in self.headers.items()}, body))
            self.send_response(307 if redirect_to else 200)
            if redirect_to:
                self.send_header("Location", redirect_to)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  (the base class's name)
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Collector)
    receiver = OtlpReceiver(port=server.server_port)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield receiver
    finally:
        server.shutdown()
        server.server_close()
