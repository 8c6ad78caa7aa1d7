"""The page Mode: who may read it, the way down, and the way up by a GO alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from console.roles import Role
from evidence.models import AuditEntry
from evidence.modes import Mode, current_mode
from tests.support.gates import PASSWORD, approved_go, own_store, person

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def store(tmp_path: Path) -> Any:
    with own_store(tmp_path / "evidence"):
        yield


def signed_in_as(username: str) -> Client:
    client = Client()
    assert client.login(username=username, password=PASSWORD)
    return client


def posted(client: Client, **form: str) -> str:
    """The messages of the page that it leads to."""
    answer = client.post(reverse("admin:mode"), form, follow=True)
    assert answer.status_code == 200
    return " ".join(str(each) for each in answer.context["messages"])


def up(number: int, **changes: str) -> dict[str, str]:
    given = {"mode": "LIMITED", "decision": str(number), "share": "0.05", "reason": "canary", "password": PASSWORD}
    return {**given, **changes}


@pytest.mark.parametrize("role", list(Role))
def test_every_role_may_read_it_and_nobody_else(signed_in: Any, role: Role) -> None:
    assert "never another" in signed_in(role).get(reverse("admin:mode")).content.decode()
    assert signed_in(None).get(reverse("admin:mode")).status_code == 403


def test_the_dri_raises_it_by_a_go_with_the_password_and_ops_takes_it_back() -> None:
    go = approved_go()
    dri = signed_in_as("ann")
    assert "password is wrong" in posted(dri, **up(go.audit_number, password="a guess"))
    assert current_mode() is Mode.OBSERVER
    assert "OBSERVER to LIMITED" in posted(dri, **up(go.audit_number))
    assert current_mode() is Mode.LIMITED
    person("olga", Role.PLATFORM_OPS)
    page = signed_in_as("olga").get(reverse("admin:mode")).content.decode()
    assert "0.05" in page
    assert "Up to" not in page
    assert "LIMITED to OBSERVER" in posted(signed_in_as("olga"), mode="OBSERVER", reason="<b>enough</b>")
    assert current_mode() is Mode.OBSERVER
    page = dri.get(reverse("admin:mode")).content.decode()
    assert "&lt;b&gt;enough" in page
    assert "<b>enough" not in page


def test_without_a_go_that_holds_nothing_is_raised_and_the_refusal_is_on_record() -> None:
    go = approved_go()
    dri = signed_in_as("ann")
    assert "is no mode" in posted(dri, **up(go.audit_number, mode="EVERYTHING"))
    assert "choose the GO" in posted(dri, **up(0))
    assert posted(dri, **up(go.audit_number, share="7"))
    assert current_mode() is Mode.OBSERVER
    assert AuditEntry.objects.filter(act="mode.refused", actor="ann").exists()


def test_who_may_not_change_it_is_refused_whatever_is_posted() -> None:
    go = approved_go()
    person("olga", Role.PLATFORM_OPS)
    person("axel", Role.AUDITOR)
    for name, form in (("axel", {"mode": "OBSERVER", "reason": "no"}), ("olga", up(go.audit_number))):
        assert signed_in_as(name).post(reverse("admin:mode"), form).status_code == 403
    assert current_mode() is Mode.OBSERVER
