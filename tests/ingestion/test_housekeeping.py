"""The background thread of a process: it outlives its faults, and writes request lines in small parts."""

from __future__ import annotations

import pytest

from ingestion import housekeeping
from ingestion.housekeeping import LOG_PARTS_COUNT, Housekeeping
from ingestion.latency import LatencyRecorder
from ingestion.request_log import RequestLog
from tests.support.workers import wait_for

pytestmark = pytest.mark.django_db(transaction=True)


class FailingLog(RequestLog):
    """Fails at its first two writes, as on a full disk."""

    def __init__(self) -> None:
        super().__init__()
        self.write_count = 0

    def write(self) -> None:
        self.write_count += 1
        if self.write_count <= 2:
            raise OSError("no space left")


def test_a_log_that_cannot_be_written_neither_ends_nor_stops_the_thread(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    log = FailingLog()
    monkeypatch.setattr(housekeeping, "REQUEST_LOG", log)
    thread = Housekeeping(recorder=LatencyRecorder(process="test"), book=None)
    thread.start()
    wait_for(lambda: log.write_count > LOG_PARTS_COUNT + 2, what="the next turn, after a second")
    thread.stop()
    assert [record.getMessage() for record in caplog.records] == ["housekeeping_failed"] * 2
