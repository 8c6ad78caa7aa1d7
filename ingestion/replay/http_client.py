"""A lean HTTP/1.1 client connection: one request at a time, kept alive, parsed only as far as a replay needs.

It shares two cores with the service that it measures, so every microsecond here is taken from the measured side.
"""

import asyncio
import re
from collections.abc import Callable
from time import monotonic_ns
from typing import Final, Protocol, cast, override

HEAD_END: Final = b"\r\n\r\n"
STATUS_LINE_BYTES_AT_LEAST: Final = 12  # "HTTP/1.1 202"
ANSWER_BYTES_AT_MOST: Final = 1 << 20
CONTENT_LENGTH: Final = re.compile(rb"\r\ncontent-length:[ \t]*(\d+)", re.IGNORECASE)
CHUNKED: Final = re.compile(rb"\r\ntransfer-encoding:[ \t]*chunked", re.IGNORECASE)
CLOSING: Final = re.compile(rb"\r\nconnection:[ \t]*close", re.IGNORECASE)
RETRY_AFTER: Final = re.compile(rb"\r\nretry-after:[ \t]*(\d{1,6})", re.IGNORECASE)


class Listener(Protocol):
    """Who is told what became of a request. Exactly one of the two is called for each request sent."""

    def answered(self, connection: "Connection", status: int, head: bytes, body: bytes, ack_ns: int) -> None: ...

    def broken(self, connection: "Connection", error: str) -> None: ...


class Connection(asyncio.Protocol):
    """One connection. `n` and `attempt` belong to the request under way; `n` is -1 when there is none."""

    __slots__ = ("_buffer", "_closed", "_listener", "_on_closed", "_transport", "_write", "attempt", "n", "sent_ns")

    def __init__(self, listener: Listener, on_closed: Callable[["Connection"], None]) -> None:
        self._listener = listener
        self._on_closed = on_closed
        self._buffer = b""
        self._closed = False
        self._transport: asyncio.Transport | None = None
        self.n = -1
        self.attempt = 0
        self.sent_ns = 0

    @property
    def is_open(self) -> bool:
        return self._transport is not None and not self._closed

    @override
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._write = self._transport.write

    def send(self, request: bytes, *, n: int, attempt: int, sent_ns: int) -> None:
        """Only on an open connection without a request under way."""
        self.n = n
        self.attempt = attempt
        self.sent_ns = sent_ns
        self._write(request)

    @override
    def data_received(self, data: bytes) -> None:
        ack_ns = monotonic_ns()
        if self._buffer:
            data = self._buffer + data
        head_end = data.find(HEAD_END)
        if head_end < 0:
            self._keep(data)
            return
        length = CONTENT_LENGTH.search(data, 0, head_end)
        body_start = head_end + 4
        if length is None:
            self._answer_without_length(data, body_start, ack_ns)
            return
        body_end = body_start + int(length[1])
        if len(data) < body_end:
            self._keep(data)
            return
        self._finish(data[:body_start], data[body_start:body_end], ack_ns, is_rest_empty=len(data) == body_end)

    def abort(self, error: str) -> None:
        """Drops the connection at once; a request under way is reported as broken with this error."""
        self._closed = True
        if self._transport is not None:
            self._transport.abort()
        self._report_broken(error)

    def close(self) -> None:
        self._closed = True
        if self._transport is not None:
            self._transport.close()

    @override
    def eof_received(self) -> None:
        self._closed = True

    @override
    def connection_lost(self, exc: Exception | None) -> None:
        self._closed = True
        self._report_broken(f"connection_lost: {type(exc).__name__}" if exc else "connection_closed")
        self._on_closed(self)

    def _keep(self, data: bytes) -> None:
        self._buffer = data
        if len(data) > ANSWER_BYTES_AT_MOST:
            self.abort("answer_too_long")

    def _answer_without_length(self, data: bytes, body_start: int, ack_ns: int) -> None:
        """Chunked, or without a body; an answer that ends with the connection is not read."""
        head = data[:body_start]
        if CHUNKED.search(head):
            body = dechunked(data[body_start:])
            if body is None:
                self._keep(data)
                return
            self._finish(head, body, ack_ns, is_rest_empty=True)
        else:
            self._finish(head, b"", ack_ns, is_rest_empty=len(data) == body_start)

    def _finish(self, head: bytes, body: bytes, ack_ns: int, *, is_rest_empty: bool) -> None:
        self._buffer = b""
        status = head[9:STATUS_LINE_BYTES_AT_LEAST]
        if self.n < 0 or not is_rest_empty or not head.startswith(b"HTTP/1.") or not status.isdigit():
            self.abort("answer_not_understood")
            return
        if CLOSING.search(head) or head.startswith(b"HTTP/1.0"):
            self.close()
        self._listener.answered(self, int(status), head, body, ack_ns)

    def _report_broken(self, error: str) -> None:
        if self.n >= 0:
            self._listener.broken(self, error)


def dechunked(data: bytes) -> bytes | None:
    """The body of a complete chunked message, None while it is incomplete. Trailers are not supported."""
    parts: list[bytes] = []
    position = 0
    while True:
        line_end = data.find(b"\r\n", position)
        if line_end < 0:
            return None
        size_bytes = int(data[position:line_end].split(b";")[0], 16)
        position = line_end + 2
        if len(data) < position + size_bytes + 2:
            return None
        if size_bytes == 0:
            return b"".join(parts)
        parts.append(data[position : position + size_bytes])
        position += size_bytes + 2


def retry_after_seconds(head: bytes) -> float:
    """Seconds of the Retry-After header, 0 where there is none or it is a date."""
    found = RETRY_AFTER.search(head)
    return float(found[1]) if found else 0.0
