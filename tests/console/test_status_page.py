"""The page Status report: for those who may read gates, one reading, whole without script and on paper."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from django.urls import reverse

from console.roles import Role
from tests.console.conftest import OpenPage, faults
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
