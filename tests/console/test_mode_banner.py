"""Every page says how far the service goes, at once after a change, and a mode that cannot be read is OBSERVER."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from console.mode_banner import ModeShown
from console.roles import Role
from evidence.mode_standing import ModeStanding
from evidence.modes import Mode
from tests.support.gates import PASSWORD, approved_go, own_store

pytestmark = pytest.mark.django_db(transaction=True)
PAGES = ("admin:index", "admin:gates", "admin:ingestion_event_changelist", "admin:password_change")


@pytest.fixture(autouse=True)
def store(tmp_path: Path) -> Any:
    with own_store(tmp_path / "evidence"):
        yield


def html(client: Client, name: str) -> str:
    return client.get(reverse(name)).content.decode()


def test_band_and_title_of_every_page_name_the_mode_and_follow_its_change_at_once() -> None:
    go = approved_go()
    dri = Client()
    assert dri.login(username="ann", password=PASSWORD)
    for name in PAGES:
        page = html(dri, name)
        assert "console-mode--observer" in page, name
        assert "<title>[OBSERVER]" in page, name
    raised = {"mode": "LIMITED", "decision": str(go.audit_number), "share": "0.05", "reason": "x", "password": PASSWORD}
    dri.post(reverse("admin:mode"), raised)
    for name in PAGES:
        page = html(dri, name)
        assert "console-mode--limited" in page, name
        assert "<title>[LIMITED]" in page, name
    assert "<strong>LIMITED</strong>" in html(dri, "admin:mode_band")  # pages that stay open are told too
    dri.post(reverse("admin:mode"), {"mode": "OBSERVER", "reason": "enough"})
    assert "console-mode--observer" in html(dri, "admin:index")


def test_whoever_is_not_signed_in_is_not_told() -> None:
    page = html(Client(), "admin:login")
    assert "console-mode" not in page
    assert "OBSERVER" not in page, "the tab's title tells it too"


def test_a_tab_whose_session_has_ended_is_not_told() -> None:
    answer = Client().get(reverse("admin:mode_band"), headers={"HX-Request": "true"})
    assert answer.status_code == 401
    assert b"OBSERVER" not in answer.content


def test_a_role_that_may_not_read_the_mode_is_told_it_without_a_link(signed_in: Any) -> None:
    page = html(signed_in(None), "admin:password_change")
    assert "console-mode--observer" in page
    link = f'href="{reverse("admin:mode")}"'
    assert link not in page
    assert link in html(signed_in(Role.AUDITOR), "admin:password_change")


def test_one_reading_serves_many_pages_and_a_change_makes_another() -> None:
    asked: list[int] = []

    def ask() -> ModeStanding:
        asked.append(1)
        return ModeStanding(mode=Mode.OBSERVER, why_not="it cannot be read")

    shown = ModeShown(ask=ask)
    assert [shown.banner().sentence for _ in range(3)] == ["nothing is sent to the outside: it cannot be read"] * 3
    assert len(asked) == 1
    shown.forget()
    shown.banner()
    assert len(asked) == 2
