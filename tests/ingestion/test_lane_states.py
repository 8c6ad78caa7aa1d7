"""A lane that rests after trouble says so: attempts, since when, until when and why, without anybody's secrets."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from io import StringIO
from typing import Any

import pytest
from django.core.management import call_command

from console.management.commands import lanes as command
from ingestion.buffer.store import ERROR_LINE_CHARS, BufferUnavailable
from ingestion.selectors import LaneState, lane_state, lane_states
from tests.support.lanes import LaneKit
from tests.support.resting import rest


def state_of(lane: int = 0) -> LaneState:
    return lane_states()[lane]


def test_a_resting_lane_tells_attempts_since_when_next_attempt_and_error(lanes: LaneKit) -> None:
    before = datetime.now(UTC)
    lanes.receive("evt-1")
    rest(lanes.buffer, attempts=3, seconds=60)
    found = state_of()
    assert (found.state, found.attempt_count, found.holder) == ("backing_off", 3, "")
    assert found.resting_since is not None
    assert found.next_attempt_at is not None
    assert before - timedelta(seconds=1) <= found.resting_since <= datetime.now(UTC)
    assert timedelta(seconds=50) < found.next_attempt_at - datetime.now(UTC) <= timedelta(seconds=60)
    assert "Connection refused" in found.last_error
    assert lane_state(lane=1) == LaneState(1, 0, None, "", "idle")


def test_the_shown_error_is_one_short_line_without_rows_and_logins(lanes: LaneKit) -> None:
    rest(lanes.buffer)
    assert state_of().last_error == (
        'OperationalError: connection to server at "postgresql://10.0.0.5" failed: Connection refused'
    )
    rest_again = "OperationalError: invalid dsn: password=hunter2 host=db " + "x" * 400
    lanes.let_lease_expire()
    claim = lanes.buffer.claim(0, token=b"t", fence_floor=0)
    assert claim is not None
    lanes.buffer.back_off(claim, rest=timedelta(seconds=1), next_attempt_us=1, error=rest_again)
    line = state_of().last_error
    assert "hunter2" not in line
    assert len(line) <= ERROR_LINE_CHARS + 1


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str]]:
    def call(*arguments: str) -> tuple[int, str]:
        out, err = StringIO(), StringIO()
        with pytest.raises(SystemExit) as ended:
            call_command("lanes", *arguments, stdout=out, stderr=err)
        return int(str(ended.value.code)), out.getvalue() + err.getvalue()

    return call


def test_the_command_shows_every_lane_and_exits_0_while_all_is_well(lanes: LaneKit, run: Any) -> None:
    lanes.receive_many(["evt-1", "evt-2"], lane=2)
    status, text = run()
    assert status == 0
    assert [line.split()[:2] for line in text.splitlines()[1:]] == [["0", "0"], ["1", "0"], ["2", "2"], ["3", "0"]]
    assert "waiting" in text.splitlines()[3]


def test_the_command_exits_1_for_a_resting_lane_and_says_when_it_tries_again(lanes: LaneKit, run: Any) -> None:
    lanes.receive("evt-1", lane=1)
    rest(lanes.buffer, lane=1, attempts=2, seconds=60)
    status, text = run()
    assert status == 1
    line = next(line for line in text.splitlines() if "failed attempts" in line)
    assert line.strip().startswith("failed attempts 2 since ")
    assert "; next " in line
    assert "(in 59" in line or "(in 60" in line
    assert "Connection refused" in line
    assert "hunter2" not in text
    status, text = run("--json")
    found = json.loads(text)[1]
    assert (status, found["attempt_count"], found["state"]) == (1, 2, "backing_off")
    assert datetime.fromisoformat(found["next_attempt_at"]) > datetime.fromisoformat(found["resting_since"])


def test_the_command_exits_3_where_redis_cannot_be_asked(monkeypatch: pytest.MonkeyPatch, run: Any) -> None:
    def silent() -> list[LaneState]:
        raise BufferUnavailable("ConnectionError: refused")

    monkeypatch.setattr(command, "lane_states", silent)
    status, text = run()
    assert (status, "Redis cannot be asked" in text) == (3, True)
