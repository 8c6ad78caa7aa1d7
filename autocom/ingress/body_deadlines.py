"""A deadline for every body that is being read, watched by one timer.

`asyncio.timeout` for each request costs as much as checking a signature.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import Any

SWEEP_SECONDS = 0.5


class BodyDeadlines:
    """Lives on one event loop. A body is given up at most SWEEP_SECONDS after its deadline."""

    def __init__(self, *, limit_seconds: float) -> None:
        self._limit_seconds = limit_seconds
        self._due_at: dict[asyncio.Task[Any], float] = {}
        self._overdue: set[asyncio.Task[Any]] = set()
        self._timer: asyncio.TimerHandle | None = None

    async def read(self, reading: Awaitable[bytes]) -> bytes:
        """What the awaitable gives. Raises TimeoutError when it takes longer than the limit."""
        task = asyncio.current_task()
        loop = asyncio.get_running_loop()
        assert task is not None  # noqa: S101  (there is one wherever a coroutine runs)
        self._due_at[task] = loop.time() + self._limit_seconds
        if self._timer is None:
            self._timer = loop.call_later(SWEEP_SECONDS, self._sweep)
        try:
            return await reading
        except asyncio.CancelledError:
            if task not in self._overdue:
                raise
            task.uncancel()
            raise TimeoutError from None
        finally:
            del self._due_at[task]
            self._overdue.discard(task)

    def _sweep(self) -> None:
        loop = asyncio.get_running_loop()
        now = loop.time()
        for task in [task for task, due_at in self._due_at.items() if due_at <= now]:
            self._overdue.add(task)
            task.cancel()
        self._timer = loop.call_later(SWEEP_SECONDS, self._sweep) if self._due_at else None
