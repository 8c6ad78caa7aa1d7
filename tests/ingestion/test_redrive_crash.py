"""A process that is really killed between asking for a retry and its end: the sweep goes on, and it is stored once."""

from __future__ import annotations

import signal
from datetime import timedelta

import pytest
import redis
from django.db import OperationalError

from ingestion import jobs
from ingestion.buffer import keys
from ingestion.buffer.store import LaneBuffer
from ingestion.models import DeadLetter, Event, LaneIncident, SetAsideAttempt
from ingestion.redrive import send as send_step
from tests.support.dying_drain import POINTS as DRAIN_POINTS
from tests.support.dying_retry import POINTS
from tests.support.lanes import LaneKit, assert_every_batch_is_proved, committed
from tests.support.redrives import LETTER, dead, outcomes, retry
from tests.support.workers import drain_and_die, retry_and_die, wait_for

pytestmark = pytest.mark.django_db(transaction=True)

ENTRIES_LEFT = {"before COMMIT": 0, "after COMMIT": 0, "on the lane, not noted": 1, "on the lane, noted": 1}


@pytest.fixture(autouse=True)
def _no_grace(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(send_step, "STRANDED_AFTER", timedelta(0))


@pytest.mark.parametrize("point", POINTS)
def test_a_retry_killed_at_any_point_is_stored_once_or_was_never_asked_for(
    lanes: LaneKit, monkeypatch: pytest.MonkeyPatch, point: str
) -> None:
    (receipt,) = dead(lanes, monkeypatch, "evt-1")
    assert retry_and_die(receipt.event_id, point=point) == -signal.SIGKILL
    letter = DeadLetter.objects.get()
    assert letter.state == ("open" if point == "before COMMIT" else "retrying")
    assert len(lanes.waiting()) == ENTRIES_LEFT[point]
    jobs.sweep()
    jobs.sweep()  # twice: what is on its lane now is left there
    jobs.drain(0)
    jobs.sweep()
    jobs.drain(0)
    if point == "before COMMIT":
        assert not Event.objects.exists()
        assert not SetAsideAttempt.objects.exists()
        return
    assert committed() == ["evt-1"]
    assert outcomes(receipt.event_id) == ["failed", "stored"]
    assert DeadLetter.objects.get().state == "retried"
    assert not LaneIncident.objects.exists()
    assert lanes.is_idle()
    assert_every_batch_is_proved()


@pytest.mark.parametrize("point", DRAIN_POINTS)
def test_a_drain_killed_at_any_point_of_a_retry_stores_it_once(
    lanes: LaneKit, monkeypatch: pytest.MonkeyPatch, point: str
) -> None:
    one, two = (receipt.event_id for receipt in dead(lanes, monkeypatch, "evt-1", "evt-2"))
    retry(one, two)
    lanes.receive("evt-3")
    assert drain_and_die(lane=0, point=point, lease_ms=400) == -signal.SIGKILL
    lanes.buffer.client.delete(keys.rq_queue(keys.DRAIN_QUEUE))
    wait_for(lambda: not lanes.buffer.peek(0).holder, what="the lease is over")
    lanes.let_lease_expire()
    jobs.sweep()
    jobs.drain(0)
    assert committed() == ["evt-1", "evt-2", "evt-3"]
    assert [outcomes(each) for each in (one, two)] == [["failed", "stored"]] * 2
    assert set(DeadLetter.objects.values_list("state", "attempt_count")) == {("retried", 2)}
    assert_every_batch_is_proved()


def test_a_retry_asked_for_while_redis_is_away_is_sent_when_it_is_back(
    lanes: LaneKit, monkeypatch: pytest.MonkeyPatch
) -> None:
    (receipt,) = dead(lanes, monkeypatch, "evt-1")
    gone = LaneBuffer(client=redis.Redis(unix_socket_path="/nonexistent.sock"))
    monkeypatch.setattr(send_step, "lane_buffer", lambda: gone)
    assert retry(receipt.event_id).requested == (receipt.event_id,)
    assert (DeadLetter.objects.get().state, lanes.waiting()) == ("retrying", [])
    jobs.sweep()
    jobs.drain(0)
    assert committed() == ["evt-1"]


def test_a_retry_that_redis_lost_is_sent_again(lanes: LaneKit, monkeypatch: pytest.MonkeyPatch) -> None:
    (receipt,) = dead(lanes, monkeypatch, "evt-1")
    retry(receipt.event_id)
    lanes.buffer.client.flushdb()
    jobs.sweep()
    jobs.drain(0)
    assert committed() == ["evt-1"]
    assert outcomes(receipt.event_id) == ["failed", "stored"]
    assert_every_batch_is_proved()


def test_a_retry_that_an_older_copy_of_redis_does_not_have_is_sent_again(
    lanes: LaneKit, monkeypatch: pytest.MonkeyPatch
) -> None:
    (receipt,) = dead(lanes, monkeypatch, "evt-1")
    state = lanes.buffer.client.hgetall(keys.state(0))
    retry(receipt.event_id)
    lanes.buffer.client.delete(keys.stream(0), keys.wake(0))  # as it was before the retry
    for name, value in state.items():
        lanes.buffer.client.hset(keys.state(0), name, value)
    jobs.sweep()
    jobs.drain(0)
    assert committed() == ["evt-1"]


def test_what_waits_on_its_lane_is_not_sent_again(lanes: LaneKit, monkeypatch: pytest.MonkeyPatch) -> None:
    ids = [receipt.event_id for receipt in dead(lanes, monkeypatch, "evt-1", "evt-2")]
    retry(*ids)
    for _ in range(3):
        jobs.sweep()
    assert len(lanes.waiting()) == 2


def test_the_sweep_leaves_a_retry_alone_that_is_just_being_sent(
    lanes: LaneKit, monkeypatch: pytest.MonkeyPatch
) -> None:
    (receipt,) = dead(lanes, monkeypatch, "evt-1")
    monkeypatch.setattr(send_step, "STRANDED_AFTER", timedelta(minutes=1))
    monkeypatch.setattr("ingestion.redrive.retry.send_on_commit", lambda *_: None)
    retry(receipt.event_id)
    assert send_step.send_stranded(buffer=lanes.buffer) == 0
    assert send_step.send(LETTER, [receipt.event_id], buffer=lanes.buffer) == 1


def test_lanes_are_rung_while_postgresql_is_away(lanes: LaneKit, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(**_: object) -> int:
        raise OperationalError("the database is away")

    lanes.receive("evt-1")
    lanes.let_lease_expire()
    monkeypatch.setattr(jobs, "send_stranded", refuse)
    assert jobs.sweep() == 1
