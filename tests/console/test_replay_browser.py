"""The page of a run in a real Chromium: it follows the run by itself, says how it ended, and then is quiet."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from django.urls import reverse
from playwright.sync_api import expect

from console.pages import bundles, orders
from console.roles import Role
from evidence.models import BundleOrder, ReplayOrder
from evidence.orders.life import living
from tests.console.conftest import OpenPage, faults
from tests.console.rows import ago
from tests.console.runs import RUN, UNDER_WAY, folder, order_row
from tests.support.gates import own_store

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


@pytest.fixture(autouse=True)
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(orders, "POLL_SECONDS", 1)
    monkeypatch.setattr(bundles, "POLL_SECONDS", 1)
    with own_store(tmp_path):
        yield


def test_figures_of_a_run_arrive_by_themselves_until_it_ends_and_the_focus_stays(open_page: OpenPage) -> None:
    page, polls = open_page(Role.DRI), []
    page.on("request", lambda request: polls.append(request.url) if "/progress/" in request.url else None)
    with living(order_row(state="waiting")):
        page.goto(reverse("admin:replay", args=[UNDER_WAY]))
        expect(page.locator("#order-state")).to_contain_text("waiting")
        page.get_by_label("Why cancel it").fill("the wrong")
        ReplayOrder.objects.update(state="running", sent_count=15_001)
        expect(page.locator("#order-figures")).to_contain_text("15,001")
        expect(page.get_by_label("Why cancel it")).to_be_focused()
        expect(page.get_by_label("Why cancel it")).to_have_value("the wrong")
        expect(page.locator("#order-state")).to_contain_text("running")
        folder(UNDER_WAY)
        ReplayOrder.objects.update(state="done", settled_at=ago(seconds=0), sent_count=30_000)
        expect(page.locator("#order-status")).to_contain_text("PASS")
    expect(page.locator("#order-status")).to_contain_text("30,000 of 30,000 sent.")
    expect(page.get_by_role("button", name="Cancel the run")).to_have_count(0)
    expect(page.locator("#order-result").get_by_text("every promise that was made is kept")).to_be_visible()
    assert faults(page) == []
    polls.clear()
    page.wait_for_timeout(2_500)
    assert polls == []


def test_a_run_is_planned_confirmed_and_cancelled_by_keys_alone(open_page: OpenPage) -> None:
    page = open_page(Role.PLATFORM_OPS, width=390)
    page.goto(reverse("admin:replays"))
    page.get_by_role("link", name="Plan a replay…").focus()
    page.keyboard.press("Enter")
    expect(page.get_by_label("Sends", exact=True)).to_have_value("30000")
    page.get_by_label("Sends", exact=True).fill("0")
    page.keyboard.press("Enter")
    expect(page.get_by_role("alert")).to_contain_text("Sends: 0 is not between 1 and 300,000")
    page.get_by_label("Sends", exact=True).fill("200")
    page.keyboard.press("Enter")
    page.get_by_label("Reason").fill("<b>a rehearsal</b>")
    page.keyboard.press("Enter")
    expect(page.get_by_text("<b>a rehearsal</b>")).to_be_visible()
    expect(page.locator("#order-figures")).to_contain_text("Waits for the ops worker")
    assert ReplayOrder.objects.get().count == 200
    page.get_by_label("Why cancel it").focus()
    page.keyboard.press("Enter")
    expect(page.locator("#order-status")).to_contain_text("cancelled before it began")
    assert ReplayOrder.objects.get().state == "cancelled"


def test_two_runs_are_compared_from_the_page_of_one(open_page: OpenPage) -> None:
    folder()
    folder(UNDER_WAY, lost=2, verdict="FAIL")
    page = open_page(Role.AUDITOR)
    page.goto(reverse("admin:replay", args=[RUN]))
    page.get_by_label("With run").select_option(UNDER_WAY)
    page.get_by_role("button", name="Compare").click()
    expect(page.get_by_role("cell", name="2 more")).to_be_visible()
    assert faults(page) == []


def test_the_step_of_a_bundle_in_the_making_arrives_by_itself_until_it_is_made(open_page: OpenPage) -> None:
    folder()
    given = {"actor_kind": "person", "actor": "dri", "asked_at": ago(seconds=5), "started_at": ago(seconds=4)}
    order = BundleOrder.objects.create(run_id=RUN, gate="a", state="running", step="packing the archive", **given)
    page = open_page(Role.DRI)
    with living(order):
        page.goto(reverse("admin:bundles"))
        state = page.locator(f"#order-{order.pk}-state")
        expect(state).to_contain_text("packing the archive")
        assert faults(page) == []
        BundleOrder.objects.update(step="storing the archive")
        expect(state).to_contain_text("storing the archive")
        BundleOrder.objects.update(state="failed", why="the disk is full", step="")
        expect(state).to_contain_text("failed: the disk is full")
    expect(page.get_by_role("button", name=f"Cancel the bundle of run {RUN}")).to_have_count(0)
    expect(page.locator("#orders-status")).to_have_text(f"Failed: the bundle of run {RUN}.")
