"""A worker that is really killed, at each point of a drain.

The next drain ends with every event stored once, in order.
"""

from __future__ import annotations

import signal
from datetime import timedelta

import pytest

from ingestion import jobs
from ingestion.buffer import keys
from ingestion.models import Batch, Lane, LaneIncident
from ingestion.sweep import sweep_lanes
from tests.support.dying_drain import POINTS
from tests.support.lanes import LANES, LaneKit, assert_every_batch_is_proved, committed, delivery, event
from tests.support.workers import drain_and_die, wait_for

pytestmark = pytest.mark.django_db(transaction=True)

LEASE = timedelta(milliseconds=400)
COMMITTED_AT = {"after COMMIT": True, "after trim": True, "after release": True}


@pytest.mark.parametrize("point", POINTS)
def test_a_drain_killed_at_any_point_is_taken_over_and_stores_each_event_once_in_order(
    lanes: LaneKit, point: str
) -> None:
    names = [f"evt-{number}" for number in range(1, 6)]
    lanes.receive_many(names)
    lanes.append(delivery(event("evt-3")))
    died_of = drain_and_die(lane=0, point=point, lease_ms=LEASE // timedelta(milliseconds=1))
    assert died_of == -signal.SIGKILL
    assert committed() == (names if point in COMMITTED_AT else [])
    if point != "after release":
        assert lanes.buffer.peek(0).is_due or not lanes.waiting() or not lanes.buffer.peek(0).holder
    lanes.receive("evt-6")
    lanes.buffer.client.delete(keys.rq_queue(keys.DRAIN_QUEUE))  # the killed worker's job is gone with it
    if point == "after release":  # idle again: the append rang, and that job was the one just lost
        lanes.let_lease_expire()
    wait_for(lambda: sweep_lanes(lanes.buffer, lane_count=LANES) == 1, what="the sweeper rings for the lane")
    (job,) = lanes.jobs()
    assert job.startswith("sweep-0-")
    assert jobs.drain(0)["outcome"] in ("emptied", "handed_back")
    assert committed() == [*names, "evt-6"]
    row = Lane.objects.get()
    assert (row.cursor, LaneIncident.objects.count()) == (7, 0)
    assert lanes.is_idle()
    assert sum(Batch.objects.values_list("duplicate_count", flat=True)) == 1
    assert_every_batch_is_proved()


def test_a_lane_is_not_taken_from_a_dead_drainer_before_its_lease_is_over(lanes: LaneKit) -> None:
    lanes.receive("evt-1")
    assert drain_and_die(lane=0, point="after read", lease_ms=60_000) == -signal.SIGKILL
    assert lanes.buffer.peek(0).holder.endswith("@dying")
    lanes.buffer.client.delete(keys.wake(0))
    assert sweep_lanes(lanes.buffer, lane_count=LANES) == 0
    assert lanes.drain().outcome == "held_by_another"
