"""The page in a real Chromium: asked by keys, watched, and read on wide and narrow screens."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from django.urls import reverse
from playwright.sync_api import Page, expect

from console.models import RbacOrder
from console.rbac.matrix import matrix
from console.rbac.runs import keep_run
from console.roles import Role, sync_roles
from tests.console.conftest import OpenPage, faults
from tests.console.rbac.test_matrix import named
from tests.console.rows import rbac_run_row

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


def is_sound(page: Page) -> None:
    """No fault of accessibility, and no wider than the screen."""
    assert faults(page) == []
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth"), page.url


def pictured(page: Page, name: str) -> None:
    """Only where somebody asks for pictures."""
    if folder := os.environ.get("PICTURES"):
        page.screenshot(path=str(Path(folder) / f"{name}.png"), full_page=True)


@pytest.mark.parametrize(("width", "scheme"), [(1440, "light"), (390, "dark")])
def test_a_probe_is_asked_for_by_keys_and_its_progress_comes_by_itself_until_it_ends(
    open_page: OpenPage, width: int, scheme: str
) -> None:
    page = open_page(Role.PLATFORM_OPS, width=width, scheme=scheme)
    page.goto(reverse("admin:rbac"))
    assert "Never probed on this commit" in page.inner_text("#content-main")
    page.get_by_role("button", name="Probe now").focus()
    page.keyboard.press("Enter")
    expect(page.locator("#rbac-progress")).to_contain_text("waiting")
    expect(page.get_by_role("button", name="Probe now")).to_be_disabled()
    RbacOrder.objects.update(state=RbacOrder.State.RUNNING, done_count=5_000, cell_count=20_000)
    expect(page.locator("#rbac-progress")).to_contain_text("5000 of 20000 cells")
    is_sound(page)
    pictured(page, f"running-{scheme}-{width}")
    page.reload()
    expect(page.locator("#rbac-progress")).to_contain_text("5000 of 20000 cells")
    RbacOrder.objects.update(state=RbacOrder.State.DONE, done_count=20_000, run=rbac_run_row())
    link = page.get_by_role("link", name="Show it")
    link.focus()
    page.keyboard.press("Enter")
    expect(page.locator("#run-title")).to_contain_text("FAIL")
    expect(page.get_by_role("button", name="Probe now")).to_be_enabled()


@pytest.mark.parametrize(("width", "scheme"), [(1440, "light"), (1440, "dark"), (390, "light"), (390, "dark")])
def test_the_matrix_is_accessible_with_what_changed_and_what_does_not_match(
    open_page: OpenPage, width: int, scheme: str
) -> None:
    page = open_page(Role.AUDITOR, width=width, scheme=scheme)
    sync_roles()
    told = matrix(named("admin/log/", "admin/gates/<slug:gate>/", "admin/ingestion/provider/", "evidence/"))
    keep_run(told, asked_by="ops", matrix_sha256="5" * 64)
    rbac_run_row()
    page.goto(reverse("admin:rbac"))
    expect(page.locator("#run-title")).to_contain_text("FAIL")
    assert "MISMATCH" in page.inner_text("[aria-label='Matrix of routes and personas']")
    is_sound(page)
    pictured(page, f"mismatch-{scheme}-{width}")
    page.locator("select[name=run]").select_option(index=1)
    page.locator("select[name=persona]").select_option("Auditor")
    page.locator("input[name=route]").fill("provider")
    page.get_by_role("button", name="Show", exact=True).click()
    expect(page.locator("#run-title")).to_contain_text("PASS")
    assert "route=provider&persona=Auditor" in page.url
    assert "/admin/gates/" not in page.inner_text("[aria-label='Matrix of routes and personas']")
    is_sound(page)
    pictured(page, f"pass-{scheme}-{width}")
