"""What this process does with more requests than it can answer in time.

A round of the event loop reads every connection that is ready. Served at once, the last of a thousand would wait for
all before it, and so would Redis's answers: so a round serves for a short time only, and what is left waits in the
order of its arrival. What has waited too long is refused unseen, at a fraction of what serving costs. How long is too
long depends on whether this is a burst or a state: as long as requests usually need not wait, waiting is the better
answer (Nichols and Jacobson, "Controlling Queue Delay", 2012: a standing queue, not a queue, is what must go).
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable
from typing import NamedTuple

from autocom.ingress.http import Request
from ingestion.problems import Reply

ROUND_SECONDS = 0.01  # of serving, before the loop looks at its connections again: some thirty acks
PAUSE_SECONDS = 0.002
WAIT_LIMIT_SECONDS = 0.014  # in a standing queue: with the rounds before and after it and the disk an ack within 0.1 s
STANDING_SECONDS = 0.01  # the usual wait above which the queue stands
MEMORY_SECONDS = 0.5  # over so long a wait is usual: a burst of a tenth of a second passes
BURST_LIMIT_SECONDS = 0.25

type Respond = Callable[[Reply], None]
type Serve = Callable[[Request, Respond], None]


class _Waiting(NamedTuple):
    came_at: float
    request: Request
    respond: Respond


class Turns:
    """Whose turn it is, in one event loop. `is_behind`: what was served waits for Redis, so more must wait here."""

    def __init__(self, *, serve: Serve, shed: Serve, is_behind: Callable[[], bool]) -> None:
        self._serve = serve
        self._shed = shed
        self._is_behind = is_behind
        self._waiting: deque[_Waiting] = deque()
        self._round_ends_at: float | None = None
        self._usual_wait_seconds = 0.0
        self._noted_at = 0.0

    def take(self, request: Request, respond: Respond) -> None:
        """Serves it now or after those that wait already, or sheds it."""
        now = time.monotonic()
        if self._round_ends_at is None:
            self._begin_round(now)
        if self._waiting or now > self._round_ends_at or self._is_behind():  # type: ignore[operator]
            self._waiting.append(_Waiting(now, request, respond))
        else:
            self._note_wait(0.0, now=now)
            self._serve(request, respond)

    def _note_wait(self, wait_seconds: float, *, now: float) -> None:
        share = min((now - self._noted_at) / MEMORY_SECONDS, 1.0)
        self._usual_wait_seconds += (wait_seconds - self._usual_wait_seconds) * share
        self._noted_at = now

    def _begin_round(self, now: float) -> None:
        self._round_ends_at = now + ROUND_SECONDS
        asyncio.get_running_loop().call_soon(self._next_round)  # after the callbacks of all that is ready

    def _next_round(self) -> None:
        self._round_ends_at = None
        self._shed_overdue()
        if not self._waiting:
            return
        # timed from here: refusing a thousand must not use up the time in which others are served
        now = time.monotonic()
        if self._is_behind():
            self._round_ends_at = now
            # without a pause the loop would spin until Redis answers
            asyncio.get_running_loop().call_later(PAUSE_SECONDS, self._next_round)
            return
        self._begin_round(now)
        ends_at = now + ROUND_SECONDS
        while self._waiting and (now := time.monotonic()) < ends_at and not self._is_behind():
            first = self._waiting.popleft()
            self._note_wait(now - first.came_at, now=now)
            self._serve(first.request, first.respond)

    def _shed_overdue(self) -> None:
        now = time.monotonic()
        if not self._waiting:
            return
        self._note_wait(now - self._waiting[0].came_at, now=now)
        is_standing = self._usual_wait_seconds > STANDING_SECONDS
        overdue_at = now - (WAIT_LIMIT_SECONDS if is_standing else BURST_LIMIT_SECONDS)
        while self._waiting and self._waiting[0].came_at < overdue_at:
            late = self._waiting.popleft()
            self._shed(late.request, late.respond)
