from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import pytest
from django.contrib.auth.hashers import PBKDF2PasswordHasher

from autocom.kernel.clock import SYSTEM_CLOCK
from ingestion.buffer.store import LaneBuffer, lane_buffer
from ingestion.drain import STOP, Drainer, DrainPolicy
from ingestion.latency import LatencyRecorder


@pytest.fixture(scope="session", autouse=True)
def cheap_passwords() -> Iterator[None]:
    """A hash takes a third of a second, for nothing here. Services in processes of their own keep it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(PBKDF2PasswordHasher, "iterations", 1_000)
        yield


@pytest.fixture
def buffer() -> Iterator[LaneBuffer]:
    """The lanes, empty before and after."""
    buffer = lane_buffer()
    buffer.client.flushdb()
    yield buffer
    buffer.client.flushdb()


@pytest.fixture
def drainer(buffer: LaneBuffer) -> Drainer:
    """A drain in this process that neither gathers nor lingers."""
    STOP.clear()
    policy = DrainPolicy(gather=timedelta(0), linger=timedelta(0))
    return Drainer(
        buffer=buffer, recorder=LatencyRecorder(process="test"), clock=SYSTEM_CLOCK, worker="test", policy=policy
    )


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Browser tests come last: Playwright's event loop runs from the first of them to the end of the session."""
    items.sort(key=lambda item: item.get_closest_marker("browser") is not None)
