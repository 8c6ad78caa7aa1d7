"""A provider that posts at a steady rate over connections that stay open, and changes its secret when told."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ingestion.providers.adapter import Adapter, Secret

CONNECTIONS = 32


@dataclass(slots=True)
class SteadySender:
    """Open loop: each POST has its moment, and a slow answer delays none of the others while a connection is free."""

    port: int
    provider: str
    adapter: Adapter[Any]
    options: Any
    secret: Secret  # may be replaced while it sends
    rate_per_second: float
    count: int
    answers: Counter[tuple[str, int]] = field(default_factory=Counter)  # fingerprint and status
    acked_ids: list[str] = field(default_factory=list)
    _thread: threading.Thread | None = None
    started_s: float = 0.0
    ended_s: float = 0.0

    def start(self) -> None:
        self._thread = threading.Thread(target=lambda: asyncio.run(self._send_all()))
        self._thread.start()

    def join(self) -> None:
        assert self._thread is not None
        self._thread.join()

    def answered(self) -> int:
        return self.answers.total()

    async def _send_all(self) -> None:
        numbers: asyncio.Queue[int | None] = asyncio.Queue()
        workers = [asyncio.create_task(self._work(numbers)) for _ in range(CONNECTIONS)]
        self.started_s = time.monotonic()
        for number in range(self.count):
            wait_s = self.started_s + number / self.rate_per_second - time.monotonic()
            if wait_s > 0:
                await asyncio.sleep(wait_s)
            numbers.put_nowait(number)
        for _ in workers:
            numbers.put_nowait(None)
        await asyncio.gather(*workers)
        self.ended_s = time.monotonic()

    async def _work(self, numbers: asyncio.Queue[int | None]) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        while (number := await numbers.get()) is not None:
            secret = self.secret
            writer.write(self._request(number, secret))
            head = await reader.readuntil(b"\r\n\r\n")
            status = int(head[9:12])
            (length,) = (int(line.split(b":")[1]) for line in head.lower().split(b"\r\n") if b"content-length" in line)
            await reader.readexactly(length)
            self.answers[secret.fingerprint, status] += 1
            if 200 <= status < 300:
                self.acked_ids.append(f"evt-{number}")
        writer.close()

    def _request(self, number: int, secret: Secret) -> bytes:
        event = {"id": f"evt-{number}", "type": "delivered", "ordering_key": f"key-{number % 200}"}
        path = f"/webhooks/{self.provider}"
        headers, body = self.adapter.sign(
            json.dumps(event).encode(),
            secret=secret,
            options=self.options,
            url=f"http://127.0.0.1:{self.port}{path}",
            now_us=time.time_ns() // 1_000,
        )
        return _head(path, headers, len(body)) + body


def _head(path: str, headers: Mapping[str, str], length_bytes: int) -> bytes:
    lines = [f"POST {path} HTTP/1.1", "Host: ingress", f"Content-Length: {length_bytes}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "", ""]).encode("latin-1")
