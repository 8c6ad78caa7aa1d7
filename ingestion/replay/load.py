"""The open loop: sends what is due, never waits for answers, and takes down when each was meant, sent and answered.

A send is due at its intended moment whether or not earlier ones were answered. Where no connection is free it waits,
and the wait is part of its latency. A send whose outcome the sender cannot know (connection broken, five seconds of
silence, 429 or 5xx) is tried again like a provider would; its first attempt alone decides whether it is accepted.
"""

import asyncio
import random
from collections import deque
from collections.abc import Callable
from time import monotonic_ns
from typing import Final

from ingestion.replay.backoff import Backoff, is_success, is_worth_another_try
from ingestion.replay.config import GeneratorConfig
from ingestion.replay.http_client import Connection, retry_after_seconds
from ingestion.replay.journal import JournalWriter, RawAttempt
from ingestion.replay.requests import Prepared
from ingestion.replay.tally import Tally

NS_PER_SECOND: Final = 1_000_000_000
TICK_SECONDS: Final = 0.001  # timers of the loop are no finer
PULSE_SECONDS: Final = 0.05
FLUSH_PULSES: Final = 2
PROGRESS_PULSES: Final = 5


class Load:
    """The state of one run. Lives on one event loop; nothing here is shared with another thread."""

    def __init__(
        self,
        *,
        config: GeneratorConfig,
        prepared: Prepared,
        journal: JournalWriter,
        report: Callable[[dict[str, object]], None],
    ) -> None:
        self._config = config
        self._sends, self._write = prepared.sends, prepared.write
        self._success_status, self._busy_status = config.success_status, config.busy_status
        self._sent_sha256: dict[tuple[int, int], str] = {}  # of attempts under way that an adapter signed
        self._journal = journal
        self._report = report
        self._backoff = Backoff(config.retries)
        self._rng = random.Random(config.seed)  # noqa: S311 - jitter
        self._intended_ns: list[int] = []
        self._next = 0
        self._waiting: deque[tuple[int, int]] = deque()  # send and attempt, due and without a connection
        self._free: list[Connection] = []
        self._busy: set[Connection] = set()
        self._open_count = len(self._sends)  # sends whose fate is not yet known
        self._pending: list[RawAttempt] = []
        self._tally = Tally(planned_count=len(self._sends))
        self._last_answer_ns = 0
        self._interrupted = False
        self._running = False
        self._done = asyncio.Event()

    async def run(self, *, start_ns: int) -> None:
        """Returns when the fate of every send is known, given up or interrupted. The journal holds every attempt."""
        self._intended_ns = [start_ns + send.intended_ns for send in self._sends]
        self._last_answer_ns = start_ns
        self._running = True
        await asyncio.sleep(max(0, start_ns - monotonic_ns()) / NS_PER_SECOND)
        pulse = asyncio.get_running_loop().create_task(self._pulse())
        if self._config.rate:
            self._tick()
        else:
            self._waiting.extend((n, 1) for n in range(len(self._sends)))
            self._next = len(self._sends)
            self._send_waiting()
        await self._done.wait()
        self._running = False
        pulse.cancel()
        for connection in tuple(self._busy):
            connection.abort("gave_up")
        self._flush()
        self._report_progress()

    def interrupt(self) -> None:
        """Nothing more is sent; answers under way are still taken down."""
        self._interrupted = True
        self._waiting.clear()
        if not self._busy:
            self._done.set()

    # -- connections

    def connected(self, connection: Connection) -> None:
        self._free.append(connection)
        if self._running:
            self._send_waiting()

    def disconnected(self, connection: Connection) -> None:
        if connection in self._free:
            self._free.remove(connection)

    def answered(self, connection: Connection, status: int, head: bytes, body: bytes, ack_ns: int) -> None:
        n, attempt = connection.n, connection.attempt
        connection.n = -1
        self._busy.discard(connection)
        self._last_answer_ns = ack_ns
        self._pending.append((n, attempt, connection.sent_ns, ack_ns, status, body, "", self._sent_digest(n, attempt)))
        if is_success(status, success_status=self._success_status):
            self._tally.acked_count += 1
            self._open_count -= 1
            if attempt == 1:
                begin_ns = self._intended_ns[n] if self._config.rate else connection.sent_ns
                self._tally.acked(latency_us=(ack_ns - begin_ns) // 1_000)
        elif is_worth_another_try(status, busy_status=self._busy_status):
            self._retry(n, attempt, after_seconds=retry_after_seconds(head))
        else:
            self._settle_refused()
        if not connection.is_open:
            pass  # the pool opens another one
        elif self._waiting:
            self._send(connection, *self._waiting.popleft())
        else:
            self._free.append(connection)
        self._end_if_settled()

    def broken(self, connection: Connection, error: str) -> None:
        n, attempt = connection.n, connection.attempt
        connection.n = -1
        self._busy.discard(connection)
        sent_sha256 = self._sent_digest(n, attempt)
        self._pending.append((n, attempt, connection.sent_ns, monotonic_ns(), 0, b"", error, sent_sha256))
        if self._running:
            self._retry(n, attempt, after_seconds=0)
        self._end_if_settled()

    def _sent_digest(self, n: int, attempt: int) -> str:
        return self._sent_sha256.pop((n, attempt), "") if self._sent_sha256 else ""

    def _end_if_settled(self) -> None:
        if not self._open_count or (self._interrupted and not self._busy):
            self._done.set()

    # -- sending

    def _tick(self) -> None:
        """Sends what is due by now and comes back for the rest."""
        if self._interrupted or self._done.is_set():
            return
        intended_ns, n = self._intended_ns, self._next
        last = len(intended_ns)
        now_ns = monotonic_ns()
        while n < last and intended_ns[n] <= now_ns:
            self._tally.own_delays_ns.append(monotonic_ns() - intended_ns[n])
            if self._free:
                self._send(self._free.pop(), n, 1)
            else:
                self._waiting.append((n, 1))
                self._tally.waited_count += 1
            n += 1
        self._next = n
        if n < last:
            pause_seconds = (intended_ns[n] - monotonic_ns()) / NS_PER_SECOND
            asyncio.get_running_loop().call_later(max(TICK_SECONDS, pause_seconds), self._tick)

    def _send(self, connection: Connection, n: int, attempt: int) -> None:
        request, sent_sha256 = self._write(n)
        if sent_sha256:
            self._sent_sha256[n, attempt] = sent_sha256
        self._busy.add(connection)
        if attempt == 1:
            self._tally.sent_count += 1
        connection.send(request, n=n, attempt=attempt, sent_ns=monotonic_ns())

    def _send_waiting(self) -> None:
        while self._waiting and self._free:
            self._send(self._free.pop(), *self._waiting.popleft())

    def _retry(self, n: int, attempt: int, *, after_seconds: float) -> None:
        delay_seconds = self._backoff.delay_seconds(attempt=attempt, retry_after_seconds=after_seconds, rng=self._rng)
        if delay_seconds is None or self._interrupted:
            self._settle_refused()
            return
        self._tally.retried_count += 1
        asyncio.get_running_loop().call_later(delay_seconds, self._due_again, n, attempt + 1)

    def _due_again(self, n: int, attempt: int) -> None:
        if not self._interrupted:
            self._waiting.append((n, attempt))
            self._send_waiting()

    def _settle_refused(self) -> None:
        self._tally.refused_count += 1
        self._open_count -= 1

    # -- watching

    async def _pulse(self) -> None:
        """Time limits, journal, progress, and how late the loop itself is."""
        pulse_number = 0
        while True:
            asleep_ns = monotonic_ns()
            await asyncio.sleep(PULSE_SECONDS)
            late_ns = monotonic_ns() - asleep_ns - int(PULSE_SECONDS * NS_PER_SECOND)
            self._tally.woke(late_ns=late_ns)
            self._end_what_takes_too_long()
            pulse_number += 1
            if pulse_number % FLUSH_PULSES == 0:
                self._flush()
            if pulse_number % PROGRESS_PULSES == 0:
                self._report_progress()

    def _end_what_takes_too_long(self) -> None:
        now_ns = monotonic_ns()
        oldest_ns = now_ns - int(self._config.timeout_seconds * NS_PER_SECOND)
        for connection in [each for each in self._busy if each.sent_ns < oldest_ns]:
            connection.abort("timeout")
        idle_since_ns = max(self._last_answer_ns, self._intended_ns[self._next - 1] if self._next else 0)
        is_all_due = self._next == len(self._sends)
        if is_all_due and now_ns - idle_since_ns > int(self._config.grace_seconds * NS_PER_SECOND):
            self._done.set()

    def _flush(self) -> None:
        pending, self._pending = self._pending, []
        self._journal.attempts(pending)

    def _report_progress(self) -> None:
        try:
            self._report(self._tally.progress())
        except BrokenPipeError:  # whoever asked for this run is gone
            self._report = _say_nothing
            self.interrupt()

    def self_check(self) -> dict[str, object]:
        """The fields of the journal's end line."""
        return self._tally.self_check(was_interrupted=self._interrupted)


def _say_nothing(_fields: dict[str, object]) -> None:
    """In place of a report that nobody reads."""
