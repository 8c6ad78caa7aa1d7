"""Workers, lanes and queues: what is shown, who may act, and what each act leaves behind."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from django.conf import settings
from django.core.management import CommandError, call_command
from django.db import OperationalError
from django.test import Client
from django.urls import reverse
from rq.job import Job
from rq.serializers import JSONSerializer
from rq.utils import now, utcformat

from autocom.build import build
from console.actions.lanes import LaneRefused, pause_lane, resume_lane, wake_lane
from console.actions.operator import Operator, RefusalRecorded
from console.pages import pipeline
from console.pages.pipeline_figures import Looks
from console.roles import Role
from evidence.models import AuditEntry
from ingestion.buffer import keys
from ingestion.buffer.store import BufferUnavailable, LaneBuffer
from ingestion.models import Lane
from ingestion.pauses import paused_lanes
from ingestion.selectors import WORKER_SILENT_AT_MOST, LaneState, lane_state, workers
from ingestion.worker import drain_worker
from tests.console.letters import newest_entry, newest_number
from tests.support.lanes import LaneKit, committed

pytestmark = pytest.mark.django_db(transaction=True)

ANNA = Operator.command_line("anna")


@pytest.fixture
def lanes(buffer: LaneBuffer) -> LaneKit:
    return LaneKit(buffer=buffer)


@pytest.fixture(autouse=True)
def fresh_looks(monkeypatch: pytest.MonkeyPatch) -> Looks:
    looks = Looks()
    monkeypatch.setattr(pipeline, "LOOKS", looks)
    return looks


def shown(client: Client, name: str = "pipeline") -> str:
    response = client.get(reverse(f"admin:{name}"))
    assert response.status_code == 200
    return response.content.decode()


def post(client: Client, act: str, lane: object = 0, reason: str = "wrong amounts") -> str:
    answer = client.post(reverse("admin:pipeline"), {"act": act, "lane": lane, "reason": reason}, follow=True)
    assert answer.redirect_chain, answer.status_code
    return answer.content.decode()


def since(number: int) -> list[AuditEntry]:
    """The acts on lanes after this entry; other tests' stay in the log."""
    return list(AuditEntry.objects.filter(number__gt=number, act__startswith="lane.").order_by("number"))


# --- acts ---


def test_a_pause_from_the_page_is_kept_shown_everywhere_and_on_record(signed_in: Any, lanes: LaneKit) -> None:
    client = signed_in(Role.PLATFORM_OPS)
    lanes.receive("evt-1")
    assert "Lane 0 is paused" in post(client, "pause")
    row = Lane.objects.get(number=0)
    assert (row.paused_by, row.pause_reason) == ("platform_ops", "wrong amounts")
    entry = newest_entry()
    assert entry is not None
    assert (entry.act, entry.subject, entry.reason) == ("lane.paused", "lane 0", "wrong amounts")
    assert lanes.drain().outcome == "paused"
    text = shown(client)
    assert "by platform_ops: wrong amounts" in text
    assert "paused: lane 0" in text
    assert "paused" in shown(client, "index")
    assert "unattended" not in text


def test_a_resume_drains_at_once_and_tells_how_long_the_lane_was_paused(signed_in: Any, lanes: LaneKit) -> None:
    client = signed_in(Role.DRI)
    lanes.receive("evt-1")
    post(client, "pause")
    lanes.drain()
    lanes.buffer.client.delete(keys.rq_queue(keys.DRAIN_QUEUE))
    post(client, "resume", reason="amounts are right again")
    assert [job.split("-")[:2] for job in lanes.jobs()] == [["wake", "0"]]
    entry = newest_entry()
    assert entry is not None
    assert (entry.act, entry.facts["paused_by"]) == ("lane.resumed", "dri")
    lanes.drain()
    assert committed() == ["evt-1"]


def test_waking_rings_for_a_lane_whose_job_was_lost_and_says_when_it_was_not_needed(
    signed_in: Any, lanes: LaneKit
) -> None:
    client, before = signed_in(Role.DRI), newest_number()
    lanes.receive("evt-1")
    lanes.buffer.client.delete(keys.rq_queue(keys.DRAIN_QUEUE))
    assert "Lane 0 was rung" in post(client, "wake", reason="nobody came")
    assert len(lanes.jobs()) == 1
    assert "no entries, or somebody is at work" in post(client, "wake", lane=1, reason="nobody came")
    assert [entry.facts["rung"] for entry in since(before)] == [True, False]


def test_waking_takes_no_lane_from_a_drainer_at_work(lanes: LaneKit) -> None:
    lanes.receive("evt-1")
    claim = lanes.buffer.claim(0, token=b"t@busy", fence_floor=0)
    assert claim is not None
    lanes.buffer.client.delete(keys.rq_queue(keys.DRAIN_QUEUE))
    assert wake_lane(ANNA, 0, reason="x").facts == {"rung": False}
    assert lanes.jobs() == []
    assert lanes.buffer.peek(0).holder == "t@busy"


@pytest.mark.parametrize("who", [Role.AUDITOR, Role.LEADERSHIP])
@pytest.mark.parametrize("act", ["pause", "resume", "wake", "nonsense"])
def test_who_may_only_look_is_refused_on_record_and_told_who_may(
    signed_in: Any, lanes: LaneKit, who: Role, act: str
) -> None:
    client = signed_in(who)
    assert client.post(reverse("admin:pipeline"), {"act": act, "lane": 0, "reason": "x"}).status_code == 403
    assert paused_lanes() == {}
    refused = newest_entry()
    assert refused is not None
    assert refused.act == "permission.refused"
    text = shown(client)
    assert "DRI and Platform Ops have it" in text
    assert 'name="act"' not in text


@pytest.mark.parametrize(
    ("act", "lane", "reason", "told"),
    [
        ("pause", "0", "", "say why"),
        ("pause", "99", "x", "no lane"),
        ("pause", "-1", "x", "no lane"),
        ("pause", "0 OR 1", "x", "no lane"),
        ("resume", "0", "x", "not paused"),
        ("drop", "0", "x", "Choose pause"),
    ],
)
def test_what_makes_no_sense_is_refused_with_a_sentence(
    signed_in: Any, lanes: LaneKit, act: str, lane: str, reason: str, told: str
) -> None:
    before = newest_number()
    assert told in post(signed_in(Role.DRI), act, lane, reason)
    assert paused_lanes() == {}
    assert since(before) == []


def test_a_lane_is_paused_once_and_the_second_person_is_told_by_whom(lanes: LaneKit) -> None:
    pause_lane(ANNA, 0, reason="first")
    with pytest.raises(LaneRefused, match="os:anna: first"):
        pause_lane(Operator.command_line("ben"), 0, reason="second")
    with pytest.raises(LaneRefused, match="resume it"):
        wake_lane(ANNA, 0, reason="x")
    assert paused_lanes()[0].reason == "first"


def test_the_acts_themselves_check_the_permission(person: Any, lanes: LaneKit) -> None:
    operator = Operator.signed_in(person(Role.AUDITOR))
    for act in (pause_lane, resume_lane, wake_lane):
        with pytest.raises(RefusalRecorded):
            act(operator, 0, reason="x")


def test_a_pause_holds_although_redis_could_not_be_told(lanes: LaneKit, monkeypatch: Any) -> None:
    lanes.receive("evt-1")

    def silent() -> LaneBuffer:
        raise BufferUnavailable("down")

    monkeypatch.setattr("console.actions.lanes.lane_buffer", silent)
    pause_lane(ANNA, 0, reason="x")
    assert lanes.drain().outcome == "paused"
    assert committed() == []


# --- figures ---


def test_rates_come_from_two_looks_and_are_unknown_before(lanes: LaneKit) -> None:
    now_ns = [0]
    looks = Looks(clock_ns=lambda: now_ns[0])
    lanes.receive_many(["evt-1", "evt-2"])
    assert {(line.rate_in, line.rate_out) for line in looks.look().lanes} == {("UNKNOWN", "UNKNOWN")}
    lanes.receive_many([f"more-{n}" for n in range(10)])
    lanes.drain()
    now_ns[0] = 2_000_000_000
    line = looks.look().lanes[0]
    assert (line.rate_in, line.rate_out) == ("5.0/s", "6.0/s")
    lanes.buffer.client.flushdb()
    now_ns[0] = 4_000_000_000
    assert looks.look().lanes[0].rate_in == "UNKNOWN"  # a lane that lost its data counts on from nothing


def test_many_tabs_cost_one_look_a_second(lanes: LaneKit, monkeypatch: Any) -> None:
    asked = []

    def counted() -> list[LaneState]:
        asked.append(1)
        return [LaneState(0, 0, None, "", "idle")]

    monkeypatch.setattr("console.pages.pipeline_figures.lane_states", counted)
    now_ns = [0]
    looks = Looks(clock_ns=lambda: now_ns[0])
    for _ in range(5):
        looks.look()
    now_ns[0] = 1_000_000_000
    looks.look()
    assert len(asked) == 2


def test_holder_lease_depth_and_bytes_are_shown(signed_in: Any, lanes: LaneKit) -> None:
    lanes.receive_many(["evt-1", "evt-2"])
    lanes.buffer.claim(0, token=b"t@worker-7", fence_floor=0)
    state = lane_state(lane=0)
    assert (state.state, state.holder) == ("draining", "worker-7")
    assert 0 < state.lease_left_ms <= 5_000
    text = shown(signed_in(Role.AUDITOR))
    assert "worker-7, " in text
    assert "KiB" in text or "bytes" in text


def test_a_worker_tells_its_code_its_lane_and_an_old_heartbeat_is_said(
    signed_in: Any, lanes: LaneKit, fresh_looks: Looks
) -> None:
    worker = drain_worker(queue="drain", name="w-1")
    worker.register_birth()
    lanes.receive("evt-1", lane=3)
    job = Job.fetch(lanes.jobs()[0], connection=worker.connection, serializer=JSONSerializer)
    worker.prepare_execution(job)
    (found,) = workers()
    assert (found.build, found.lane) == (build(), 3)
    client = signed_in(Role.AUDITOR)
    text = shown(client)
    assert build() in text
    assert "(old: it may be dead)" not in text
    lanes.buffer.client.hset(worker.key, keys.BUILD_FIELD, "0" * 16)
    old = utcformat(now() - WORKER_SILENT_AT_MOST - timedelta(seconds=1))
    lanes.buffer.client.hset(worker.key, "last_heartbeat", old)
    fresh_looks.forget()
    text = shown(client)
    assert "other than this console" in text
    assert "(old: it may be dead)" in text
    assert "No worker is alive" in text


def test_queues_tell_what_waits_and_what_failed(signed_in: Any, lanes: LaneKit) -> None:
    lanes.receive("evt-1")
    lanes.buffer.client.zadd(keys.rq_failed("ops").decode(), {"job": 9e9})
    found = Looks().look().queues
    assert [(each.name, each.waiting_count, each.failed_count) for each in found] == [("drain", 1, 0), ("ops", 0, 1)]


def test_nothing_is_said_to_be_zero_while_redis_is_silent(signed_in: Any, lanes: LaneKit, monkeypatch: Any) -> None:
    def silent() -> list[LaneState]:
        raise BufferUnavailable("down")

    monkeypatch.setattr("console.pages.pipeline_figures.lane_states", silent)
    text = shown(signed_in(Role.DRI))
    assert "Redis cannot be asked" in text
    assert "UNKNOWN" in text
    assert "No worker has reported" not in text


def test_lanes_are_shown_while_postgresql_is_silent(lanes: LaneKit, monkeypatch: Any) -> None:
    def down() -> Any:
        raise OperationalError("refused")

    lanes.buffer.note_pause(0, since_us=1_000_000)
    monkeypatch.setattr("console.pages.pipeline_figures.paused_lanes", down)
    figures = Looks().look()
    assert figures.lanes[0].state == "paused"
    assert "PostgreSQL cannot be asked" in figures.pauses_problem


def test_a_full_lane_is_shown_as_full_and_paused(signed_in: Any, lanes: LaneKit, monkeypatch: Any) -> None:
    lanes.receive("evt-1")
    pause_lane(ANNA, 0, reason="x")
    monkeypatch.setattr(settings, "AUTOCOM", replace(settings.AUTOCOM, lane_bound_count=1))
    line = Looks().look().lanes[0]
    assert (line.state, line.is_stuck, line.share_percent) == ("full, paused", True, 100)


def test_the_fragment_has_nothing_that_takes_focus(signed_in: Any, lanes: LaneKit) -> None:
    pause_lane(ANNA, 0, reason='"><script>alert(1)</script>')
    response = signed_in(Role.DRI).get(reverse("admin:pipeline_figures"), headers={"HX-Request": "true"})
    text = response.content.decode()
    assert "no-store" in response["Cache-Control"]
    assert not {"<a ", "<button", "<input", "<select", "tabindex"} & {
        word for word in ("<a ", "<button", "<input", "<select", "tabindex") if word in text
    }
    assert "<script>alert" not in text


# --- command ---


def ran(capsys: Any, *words: str) -> tuple[int, str]:
    with pytest.raises(SystemExit) as ended:
        call_command("lanes", *words)
    told = capsys.readouterr()
    return int(str(ended.value.code)), told.out + told.err


def test_the_command_pauses_resumes_and_wakes_on_record(lanes: LaneKit, capsys: Any) -> None:
    lanes.receive("evt-1")
    before = newest_number()
    status, text = ran(capsys, "pause", "0", "--reason", "wrong amounts", "--actor", "anna")
    assert (status, "lane 0 is paused" in text) == (0, True)
    status, text = ran(capsys)
    assert status == 0  # a paused lane is not stuck
    assert "paused since" in text
    assert json.loads(ran(capsys, "--json")[1])[0]["paused_since"].endswith("Z")
    assert ran(capsys, "pause", "0", "--reason", "again")[0] == 1
    assert ran(capsys, "resume", "0", "--reason", "right again")[0] == 0
    assert ran(capsys, "wake", "1", "--reason", "x")[0] == 0
    assert [entry.act for entry in since(before)] == ["lane.paused", "lane.resumed", "lane.woken"]
    assert ran(capsys, "pause", "0")[0] == 1
    with pytest.raises(CommandError, match="which lane"):
        call_command("lanes", "pause", "--reason", "x")
