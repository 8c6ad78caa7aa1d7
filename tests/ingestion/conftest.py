from __future__ import annotations

from collections.abc import Iterator

import pytest
import redis
from django.db import connection
from redis.client import Pipeline

from ingestion.buffer.store import LaneBuffer
from ingestion.drain import STOP
from tests.support.lanes import LaneKit


@pytest.fixture
def lanes(buffer: LaneBuffer) -> Iterator[LaneKit]:
    """Empty lanes, and nobody asked to stop."""
    STOP.clear()
    yield LaneKit(buffer=buffer)
    STOP.clear()


@pytest.fixture
def _no_redis_in_transactions(monkeypatch: pytest.MonkeyPatch) -> None:
    """A Redis command while a transaction is open fails the test: PostgreSQL must never wait for Redis."""
    asked, piped = redis.Redis.execute_command, Pipeline.execute

    def checked(self: redis.Redis, *words: object, **options: object) -> object:
        assert not connection.in_atomic_block, f"Redis was asked inside a transaction: {words[:2]!r}"
        return asked(self, *words, **options)  # type: ignore[no-untyped-call]

    def checked_pipe(self: Pipeline, *args: object, **options: object) -> object:
        assert not connection.in_atomic_block, "Redis was asked inside a transaction"
        return piped(self, *args, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(redis.Redis, "execute_command", checked)
    monkeypatch.setattr(Pipeline, "execute", checked_pipe)
