"""Runs that the console starts: by the ops worker's job, in a process of their own, into a real ingress and worker."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import psutil
import pytest
from django.conf import settings
from django.test import Client, override_settings
from django.urls import reverse
from rq import Queue
from rq.serializers import JSONSerializer

from console.roles import Role
from evidence.jobs import start_replay
from evidence.models import AuditEntry, ReplayOrder
from evidence.runs.folders import runs_root
from ingestion.buffer import keys
from ingestion.buffer.store import lane_buffer
from ingestion.models import Event
from ingestion.worker import rq_client
from tests.support.ingress import running_ingress
from tests.support.workers import database_url, process_of, running_worker, wait_for

pytestmark = pytest.mark.django_db(transaction=True)
State = ReplayOrder.State
SECONDS = 90.0  # a busy machine imports Django four times
PLAN = {"keys": "5", "duplicates_percent": "0", "seed": "7", "provider": "default", "gate": "smoke"}


@dataclass(frozen=True)
class Console:
    """A DRI before the pages."""

    client: Client

    def ask(self, *, count: int, rate: int, reason: str = "a rehearsal") -> ReplayOrder:
        form = {**PLAN, "count": str(count), "rate": str(rate), "reason": reason}
        answer = self.client.post(reverse("admin:replay_plan"), form)
        assert answer.status_code == 302, answer.content.decode()
        return ReplayOrder.objects.get(run_id=answer["Location"].split("/")[-2])

    def page(self, order: ReplayOrder) -> str:
        return self.client.get(reverse("admin:replay", args=[order.run_id])).content.decode()

    def poll(self, order: ReplayOrder) -> int:
        return self.client.get(reverse("admin:replay_progress", args=[order.run_id])).status_code

    def cancel(self, order: ReplayOrder) -> str:
        answer = self.client.post(
            reverse("admin:replay_cancel", args=[order.run_id]), {"reason": "enough"}, follow=True
        )
        return answer.content.decode()


@pytest.fixture
def console(signed_in: Callable[..., Client], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Console]:
    """With an ingress and a worker, which the run's process finds in its environment as in every installation."""
    lane_buffer().client.flushdb()
    changed = replace(settings.AUTOCOM, evidence_root=tmp_path)
    monkeypatch.setenv("EVIDENCE_ROOT", str(tmp_path))
    monkeypatch.setenv("AUTOCOM_SUPERVISED", str(os.getpid()))  # as below `manage.py up`
    with (
        running_ingress(redis_url=settings.AUTOCOM.redis_url, db_url=database_url()) as ingress,
        running_worker(),
        override_settings(AUTOCOM=replace(changed, ingress_port=ingress.port)),
    ):
        monkeypatch.setenv("INGRESS_PORT", str(ingress.port))
        yield Console(signed_in(Role.DRI))
    lane_buffer().client.flushdb()


def started(order: ReplayOrder) -> ReplayOrder:
    """By the job on the ops queue. Its worker is gone afterwards, and the run goes on."""
    queue = Queue(keys.OPS_QUEUE, connection=rq_client(), serializer=JSONSerializer)
    queue.enqueue(start_replay)
    with running_worker(queue=keys.OPS_QUEUE):
        wait_for(lambda: at(order).state != State.WAITING, what="the ops worker starts it", seconds=SECONDS)
    return order


def at(order: ReplayOrder) -> ReplayOrder:
    order.refresh_from_db()
    return order


def summary_of(order: ReplayOrder) -> dict[str, Any]:
    told: dict[str, Any] = json.loads((runs_root() / order.run_id / "summary.json").read_bytes())
    return told


def acts_of(order: ReplayOrder) -> list[tuple[str, str]]:
    entries = AuditEntry.objects.filter(subject=f"run {order.run_id}").order_by("number")
    return [(each.act, each.actor) for each in entries]


def test_a_run_asked_for_in_the_console_outlives_the_ops_worker_and_ends_with_a_verdict(console: Console) -> None:
    order = console.ask(count=400, rate=200)
    assert "data-live" in (waits := console.page(order))
    assert "Waits for the ops worker" in waits
    started(order)
    wait_for(lambda: at(order).sent_count > 0, what="it tells how far it is", seconds=SECONDS)
    assert console.poll(order) == 200
    wait_for(lambda: not at(order).is_open, what="the run ends", seconds=SECONDS)
    assert (order.state, order.why) == (State.DONE, "")
    told = summary_of(order)
    assert (told["sent"], told["acknowledged"], told["lost"], told["stored"]) == (400, 400, 0, 400)
    assert (order.sent_count, order.acked_count, order.committed_count) == (400, 400, 400)
    assert Event.objects.filter(message_id__startswith=order.run_id).count() == 400
    assert acts_of(order) == [("replay.asked", "dri"), ("replay.started", "ops"), ("replay.run", "dri")]
    assert console.poll(order) == 286
    page = console.page(order)
    assert told["verdict"] in page
    assert "400 of 400 sent" in page
    assert 'role="img"' in page  # the histogram of its acks
    assert "data-live" not in page


def test_a_cancelled_run_sends_nothing_more_and_keeps_every_promise_it_was_given(console: Console) -> None:
    order = started(console.ask(count=20_000, rate=100))
    wait_for(lambda: at(order).sent_count > 0, what="it sends", seconds=SECONDS)
    assert "Cancelled" in console.cancel(order)
    assert "has asked to cancel it already" in console.cancel(order)
    wait_for(lambda: not at(order).is_open, what="it ends", seconds=SECONDS)
    told = summary_of(order)
    assert (order.state, told["verdict"]) == (State.CANCELLED, "INCONCLUSIVE")
    assert 0 < told["sent"] < 20_000
    assert told["lost"] == 0
    assert told["stored"] >= told["acknowledged"] > 0
    page = console.page(order)
    assert "cancelled, INCONCLUSIVE" in page
    assert f"Stopped at {told['sent']:,} of 20,000: cancelled by dri. Nothing later was sent." in page
    assert [act for act, _ in acts_of(order)] == ["replay.asked", "replay.started", "replay.cancelled", "replay.run"]
    assert AuditEntry.objects.filter(act="replay.cancelled").latest("number").reason == "enough"
    assert "already: there is nothing to cancel" in console.cancel(order)


def test_a_run_whose_process_was_killed_is_shown_as_died_at_once_and_is_in_nobodys_way(console: Console) -> None:
    order = started(console.ask(count=20_000, rate=100))
    wait_for(lambda: at(order).sent_count > 0, what="it sends", seconds=SECONDS)
    console.client.post(reverse("admin:replay_plan"), {**PLAN, "count": "10", "rate": "10", "reason": "too early"})
    assert ReplayOrder.objects.count() == 1  # two at once would spoil each other's figures
    killed = process_of("replay", "--order", str(order.pk))
    killed.kill()
    wait_for(lambda: not killed.is_running() or killed.status() == psutil.STATUS_ZOMBIE, what="it is gone")
    assert at(order).state == State.RUNNING  # nobody has written it down yet
    page = console.page(order)
    assert "its process died. Nothing later was sent." in page
    assert "data-live" not in page
    assert console.poll(order) == 286
    assert "died" in console.client.get(reverse("admin:replays")).content.decode()
    next_one = console.ask(count=10, rate=10)
    assert at(order).state == State.DIED
    assert acts_of(order)[-1] == ("replay.broken_off", "ops")
    assert not (settings.AUTOCOM.evidence_root / "orders" / f"replayorder-{order.pk}.lock").exists()
    console.cancel(next_one)
    assert (at(next_one).state, next_one.why) == (State.CANCELLED, "cancelled before it began")


def test_a_run_whose_target_does_not_answer_is_not_run_and_says_why(
    console: Console, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("INGRESS_PORT", "9")  # nobody's
    order = started(console.ask(count=10, rate=10))
    wait_for(lambda: not at(order).is_open, what="it gives up", seconds=SECONDS)
    assert order.state == State.FAILED
    assert "nothing was sent" in order.why
    assert order.why in console.page(order)
    assert acts_of(order)[-1] == ("replay.broken_off", "dri")
    assert not (runs_root() / order.run_id).exists()
