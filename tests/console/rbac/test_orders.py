"""A probe asked for in the console: by whom, in a process of its own, and what a reload shows meanwhile."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import Group
from django.test import Client
from django.urls import reverse

from console.actions import rbac as acts
from console.models import RbacOrder, RbacRun
from console.rbac import matrix as matrix_module
from console.rbac import orders
from console.rbac.matrix import Progress
from console.roles import Role, sync_roles
from evidence.audit import Act
from evidence.models import AuditEntry
from tests.console.rbac.test_matrix import named
from tests.support.gates import own_store

type SignedIn = Callable[..., Client]
PAGE, PROGRESS = "admin:rbac", "admin:rbac_progress"


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """The processes that would have been started."""
    commands: list[list[str]] = []
    monkeypatch.setattr("console.rbac.orders.subprocess.Popen", lambda command, **_: commands.append(command))
    return commands


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(("role", "status"), [(Role.PLATFORM_OPS, 302), (Role.DRI, 403), (Role.AUDITOR, 403)])
def test_only_platform_ops_ask_for_a_probe_and_a_refusal_is_on_record(
    signed_in: SignedIn, role: Role, status: int
) -> None:
    client, before = signed_in(role), AuditEntry.objects.latest("number").number
    assert client.post(reverse(PAGE)).status_code == status
    assert RbacOrder.objects.count() == (1 if status == 302 else 0)
    refused = AuditEntry.objects.filter(act=Act.PERMISSION_REFUSED.value, subject="rbac matrix")
    assert refused.filter(number__gt=before).count() == (0 if status == 302 else 1)


@pytest.mark.django_db(transaction=True)
def test_asking_twice_is_one_order_and_one_process_for_it(signed_in: SignedIn, started: list[list[str]]) -> None:
    client = signed_in(Role.PLATFORM_OPS)
    for _ in range(2):
        client.post(reverse(PAGE))
    asked = RbacOrder.objects.get()
    assert (asked.asked_by, asked.state) == ("platform_ops", RbacOrder.State.WAITING)
    assert orders.start_next() == asked.pk
    assert orders.start_next() is None
    assert [command[1:] for command in started] == [["manage.py", "rbac_matrix", "--order", str(asked.pk)]]


@pytest.mark.django_db(transaction=True)
def test_a_probe_that_is_not_heard_of_any_more_has_failed_and_the_next_one_starts(started: list[list[str]]) -> None:
    orders.order(asked_by="ops")
    orders.start_next()
    RbacOrder.objects.update(seen_at=orders._now() - orders.DIES_AFTER - timedelta(seconds=1))
    another = orders.order(asked_by="ops")
    assert another.state == RbacOrder.State.RUNNING, (
        "the dead one is taken for a running one until a look finds it dead"
    )
    assert orders.start_next() is None
    dead = RbacOrder.objects.get()
    assert (dead.state, dead.why.startswith("its process ended")) == (RbacOrder.State.FAILED, True)
    assert orders.start_next() is None
    orders.order(asked_by="ops")
    assert orders.start_next() is not None
    assert len(started) == 2


@pytest.fixture
def two_routes(monkeypatch: pytest.MonkeyPatch) -> None:
    """The whole matrix takes a minute; how an order ends does not hang on the number of its cells."""
    found = named("admin/log/", "healthz")
    monkeypatch.setattr(matrix_module, "routes", lambda: found)


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("two_routes")
def test_an_order_ends_with_its_run_and_an_entry_that_names_who_asked(tmp_path: Path) -> None:
    sync_roles()
    asked = orders.order(asked_by="ops")
    with own_store(tmp_path):
        done = acts.settle(asked.pk)
    run = RbacRun.objects.get()
    assert (done.state, done.run, done.done_count, done.cell_count) == ("done", run, run.cell_count, run.cell_count)
    entry = AuditEntry.objects.filter(act=Act.RBAC_TESTED.value).latest("number")
    assert (entry.actor, entry.facts["outcome"]) == ("ops", "PASS")
    assert (tmp_path / "rbac/matrix.csv").is_file()


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("two_routes")
def test_an_order_that_cannot_be_probed_says_why(tmp_path: Path) -> None:
    Group.objects.all().delete()
    asked = orders.order(asked_by="ops")
    with own_store(tmp_path):
        failed = acts.settle(asked.pk)
    assert failed.state == RbacOrder.State.FAILED
    assert "manage.py sync_roles" in failed.why
    assert not RbacRun.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_progress_is_seen_from_outside_while_the_probe_is_in_its_transaction(
    signed_in: SignedIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = signed_in(Role.AUDITOR)
    monkeypatch.setattr(orders, "SEEN_EVERY_SECONDS", 0.01)
    asked = orders.order(asked_by="ops")
    RbacOrder.objects.update(state=RbacOrder.State.RUNNING)
    progress = Progress(done_count=60, cell_count=240)
    with orders.told_every_second(asked.pk, progress):
        _until(lambda: RbacOrder.objects.get().done_count == 60)
        for page in (PROGRESS, PAGE, PAGE):  # a reload is no other page
            answer = client.get(reverse(page))
            assert answer.status_code == 200
            assert "60 of 240 cells" in answer.content.decode()
            assert 'value="25"' in answer.content.decode()
    RbacOrder.objects.update(state=RbacOrder.State.DONE)
    ended = client.get(reverse(PROGRESS))
    assert ended.status_code == 286
    assert "no-store" in ended["Cache-Control"]


def _until(is_so: Callable[[], bool]) -> None:
    from threading import Event

    pause = Event()
    for _ in range(500):
        if is_so():
            return
        pause.wait(0.02)
    pytest.fail("it did not become so")


@pytest.mark.django_db(transaction=True)
def test_the_button_says_why_it_cannot_be_pressed(signed_in: SignedIn) -> None:
    def shown(client: Client) -> str:
        return " ".join(client.get(reverse(PAGE)).content.decode().split())

    assert "Probing takes the permission console.run_rbac" in shown(signed_in(Role.AUDITOR))
    ops: Any = signed_in(Role.PLATFORM_OPS)
    assert "disabled" not in shown(ops).partition("Probe now")[0].rpartition("<button")[2]
    orders.order(asked_by="ops")
    assert "One at a time" in shown(ops)
