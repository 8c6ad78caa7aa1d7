"""The mode of a tab that stays open, in a real Chromium: never shown as fresh when it is old, at no form's cost."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from django.urls import reverse
from playwright.sync_api import Page, expect

from console import mode_banner
from console.models import ConsoleSession
from console.roles import Role
from tests.console.conftest import OpenPage, faults
from tests.support.gates import own_store

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]
BAND = "**/admin/mode/band/"


@pytest.fixture
def page(open_page: OpenPage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Page:
    """A form, where nothing else polls."""
    monkeypatch.setattr(mode_banner, "POLL_SECONDS", 1)
    with own_store(tmp_path / "evidence"):
        page = open_page(Role.DRI, watched=False)
        page.goto(reverse("admin:password_change"))
        return page


def test_a_tab_that_cannot_ask_says_so_until_it_can(page: Page) -> None:
    stale = page.locator("#mode-stale")
    expect(stale).to_be_hidden()
    for cut in (lambda route: route.abort(), lambda route: route.fulfill(status=500)):
        page.route(BAND, cut)
        expect(stale).to_be_visible()
        assert faults(page) == []
        page.unroute(BAND)
        expect(stale).to_be_hidden()


def test_where_the_session_has_ended_a_half_filled_form_stays_and_the_mode_is_said_to_be_old(page: Page) -> None:
    page.locator("#id_old_password").fill("what somebody typed")
    address = page.url
    ConsoleSession.objects.all().delete()
    expect(page.locator("#mode-stale")).to_be_visible()
    expect(page.locator("#id_old_password")).to_have_value("what somebody typed")
    assert page.url == address
    expect(page).to_have_title(re.compile(r"^\[OBSERVER\]"))


def test_a_tab_that_nobody_looks_at_asks_nothing_and_asks_at_once_when_somebody_does(
    page: Page, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mode_banner, "POLL_SECONDS", 600)
    page.reload()
    with page.expect_request(BAND):
        page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.evaluate("Object.defineProperty(document, 'hidden', {value: true, configurable: true})")
    page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
    page.wait_for_timeout(300)
    assert asked == []
