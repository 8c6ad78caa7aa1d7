"""One canonical line for each request, written once a second by housekeeping: no log I/O on the ack path."""

from __future__ import annotations

import logging
import sys
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TextIO

from autocom.kernel import json_text
from autocom.kernel.clock import datetime_of

log = logging.getLogger(__name__)

WRITE_LIMIT_BYTES = (
    4_096  # one write of at most this (PIPE_BUF on Linux) is never torn, and ingress processes share a log
)
LENGTH_SHOWN_CHARS = 20  # the header is the sender's own word and may be as long as they like
KEPT_LIMIT_COUNT = 200_000  # above it the oldest lines are dropped, and counted


@dataclass(frozen=True, slots=True)
class RequestLine:
    at_us: int
    request_id: str
    provider: str
    status: int
    code: str
    ack_us: int
    body_bytes: str
    reason: str

    def as_json(self) -> str:
        return json_text.dumps(
            {
                "at": datetime_of(us=self.at_us).isoformat(timespec="microseconds"),
                "level": "info",
                "logger": "ingestion.receive",
                "event": "request_answered",
                "request_id": self.request_id,
                "trace_id": self.request_id.replace("-", ""),
                "provider": self.provider,
                "status": self.status,
                "code": self.code,
                "ack_us": self.ack_us,
                "body_bytes": self.body_bytes[:LENGTH_SHOWN_CHARS],
                "reason": self.reason,
            }
        ).decode()


class RequestLog:
    """Appending costs a microsecond; `write` does the rest."""

    def __init__(self, *, stream: TextIO | None = None) -> None:
        self._lines: deque[RequestLine] = deque()
        self._dropped_count = 0
        self._stream = stream

    def append(self, line: RequestLine) -> None:
        if len(self._lines) >= KEPT_LIMIT_COUNT:
            self._lines.popleft()
            self._dropped_count += 1
        self._lines.append(line)

    def write(self) -> None:
        """Everything appended so far is on the stream, oldest first."""
        stream = self._stream or sys.stderr
        if self._dropped_count:
            dropped, self._dropped_count = self._dropped_count, 0
            log.warning("request_lines_dropped", extra={"count": dropped})
        for block in blocks([self._lines.popleft().as_json() for _ in range(len(self._lines))]):
            stream.write(block)
            stream.flush()


def blocks(lines: Iterable[str]) -> Iterator[str]:
    """Whole lines in as few writes as possible, none so long that another process's line may end up inside it."""
    block: list[str] = []
    size_bytes = 0
    for line in lines:
        line_bytes = len(line.encode()) + 1
        if block and size_bytes + line_bytes > WRITE_LIMIT_BYTES:
            yield "".join(block)
            block, size_bytes = [], 0
        block.append(line + "\n")
        size_bytes += line_bytes
    if block:
        yield "".join(block)


REQUEST_LOG = RequestLog()
