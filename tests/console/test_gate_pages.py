"""The pages of gates: verdict and criteria, GO by two people, and no GO without a PASS."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from console.roles import Role
from evidence.models import Approval, AuditEntry, Decision, DriTerm, FrozenSpec
from tests.support.gates import PASSWORD, bundle, frozen_gate, own_store, person

pytestmark = pytest.mark.django_db(transaction=True)
PLAN = {"trigger": "any guardrail", "steps": "mode set OBSERVER", "owner": "ann"}


@pytest.fixture(autouse=True)
def store(tmp_path: Path) -> Any:
    with own_store(tmp_path / "evidence"):
        yield


@pytest.fixture
def people() -> tuple[Client, Client]:
    """ann, who is the DRI, and bob of Leadership."""
    person("ann", Role.DRI)
    person("bob", Role.LEADERSHIP)
    frozen_gate()
    ann, bob = client_of("ann"), client_of("bob")
    assert "ann is the DRI" in posted(bob, act="assign", username="ann", reason="owns the launch")
    return ann, bob


def client_of(username: str) -> Client:
    client = Client()
    assert client.login(username=username, password=PASSWORD)
    return client


def posted(client: Client, **form: str) -> str:
    answer = client.post(reverse("admin:gate", args=["a"]), form, follow=True)
    assert answer.status_code == 200
    return " ".join(str(each) for each in answer.context["messages"])


def page(client: Client) -> str:
    return client.get(reverse("admin:gate", args=["a"])).content.decode()


def go(client: Client, **changes: str) -> str:
    return posted(client, **{"act": "go", "reason": "all met", "password": PASSWORD, **PLAN, **changes})


@pytest.mark.parametrize("role", list(Role))
def test_every_role_reads_them_and_nobody_else(signed_in: Any, role: Role) -> None:
    client = signed_in(role)
    assert "Newest verdict" in client.get(reverse("admin:gates")).content.decode()
    assert "UNKNOWN: no bundle tells" in page(client)
    nobody = signed_in(None)
    for address in (reverse("admin:gates"), reverse("admin:gate", args=["a"])):
        assert nobody.get(address).status_code == 403
    assert client.get(reverse("admin:gate", args=["nothing"])).status_code == 404


def test_a_go_by_two_people_through_the_page(people: tuple[Client, Client]) -> None:
    ann, bob = people
    bundle()
    assert "enables nothing until another person" in go(ann)
    decision = Decision.objects.get()
    number = str(decision.audit_number)
    assert "Approve this GO" not in page(ann)
    assert "Approve this GO" in page(bob)
    assert "password is wrong" in posted(bob, act="approve", decision=number, reason="ok", password="a guess")
    assert "approved: audit entry" in posted(bob, act="approve", decision=number, reason="<i>ok</i>", password=PASSWORD)
    assert Approval.objects.get().approver.get_username() == "bob"
    assert "&lt;i&gt;ok" in page(ann)


def test_a_fail_cannot_be_overridden_and_the_refusal_names_the_criterion(people: tuple[Client, Client]) -> None:
    ann, _ = people
    bundle("FAIL", failing="ack P95")
    shown = page(ann)
    assert "cannot be overridden" in shown
    assert 'value="go"' not in shown
    assert "ack P95" in go(ann)  # posted all the same
    assert not Decision.objects.exists()
    assert AuditEntry.objects.filter(act="decision.refused", actor="ann", reason__contains="ack P95").exists()


def test_a_wrong_password_and_somebody_else_than_the_dri_decide_nothing(people: tuple[Client, Client]) -> None:
    ann, bob = people
    bundle()
    assert "password is wrong" in go(ann, password="a guess")
    assert go(bob)
    assert go(ann, trigger="")  # no way back
    assert not Decision.objects.exists()
    assert AuditEntry.objects.filter(act="decision.refused", actor="bob").exists()


def test_authority_is_handed_over_and_ended_on_the_page(people: tuple[Client, Client]) -> None:
    ann, bob = people
    person("cyd", Role.DRI)
    assert "cyd is the DRI" in posted(ann, act="hand-over", username="cyd", reason="my holiday")
    assert "no DRI now" in posted(bob, act="end", reason="the launch is off")
    assert DriTerm.objects.filter(until=None).count() == 0
    assert "this page knows" in posted(bob, act="everything")


def test_a_freeze_takes_the_permission_and_a_reason(signed_in: Any) -> None:
    person("olga", Role.PLATFORM_OPS)
    form = {"act": "freeze", "reason": "launch"}
    assert signed_in(Role.AUDITOR).post(reverse("admin:gate", args=["a"]), form).status_code == 403
    assert posted(client_of("olga"), act="freeze", reason="")
    assert not FrozenSpec.objects.exists()
    assert "is frozen" in posted(client_of("olga"), **form)
