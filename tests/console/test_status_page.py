"""The page Status report: for those who may read gates, one reading, whole without script and on paper."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from console.mode_banner import SHOWN
from console.roles import Role
from evidence.models import Alert
from tests.console.conftest import OpenPage, faults
from tests.console.rows import dead_letter_row
from tests.support.gates import approved_go, own_store

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def store(tmp_path: Path) -> Any:
    with own_store(tmp_path / "evidence"):
        yield


@pytest.mark.parametrize("role", list(Role))
def test_every_role_may_read_it_and_nobody_else(signed_in: Any, role: Role) -> None:
    assert signed_in(role).get(reverse("admin:status")).status_code == 200
    assert signed_in(None).get(reverse("admin:status")).status_code == 403


def test_the_report_asks_the_database_as_often_for_many_rows_as_for_few(signed_in: Any) -> None:
    client, now = signed_in(Role.DRI), datetime.now(UTC)
    client.get(reverse("admin:status"))
    taken = []
    for more in (1, 30):
        for number in range(more):
            Alert.objects.create(
                kind="lag",
                subject=f"lane {more}-{number}",
                severity="page",
                summary="waits",
                opened_at=now,
                last_seen_at=now,
            )
            dead_letter_row()
        SHOWN.forget()  # else the banner's query falls into the count or not, as the clock has it
        with CaptureQueriesContext(connection) as queries:
            assert client.get(reverse("admin:status")).status_code == 200
        taken.append(len(queries))
    assert taken[0] == taken[1]
    assert taken[1] <= 40, taken


def test_the_bundle_is_linked_for_those_who_may_open_it(signed_in: Any) -> None:
    decision = approved_go()
    assert decision.bundle is not None
    address = reverse("admin:bundle", args=[decision.bundle.artifact_id])
    assert address in signed_in(Role.DRI).get(reverse("admin:status")).content.decode()


@pytest.mark.browser
@pytest.mark.parametrize(("width", "scheme"), [(1440, "light"), (390, "dark")])
def test_the_report_is_accessible_at_every_width_and_whole_on_paper(
    open_page: OpenPage, width: int, scheme: str
) -> None:
    approved_go()
    page = open_page(Role.AUDITOR, width=width, scheme=scheme)
    page.goto(reverse("admin:status"))
    page.wait_for_function("document.documentElement.hasAttribute('x-cloak') === false")
    assert page.locator("h2[id^=status-]").all_inner_texts()[0] == "Summary"
    assert "Gate a: PASS" in page.inner_text("#content-main")
    assert faults(page) == []
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    page.emulate_media(media="print")
    assert not page.locator("#nav-sidebar").is_visible()
    cut = "[...document.querySelectorAll('.console-scroll')].filter((e) => getComputedStyle(e).overflowX !== 'visible')"
    assert page.evaluate(f"{cut}.length") == 0
