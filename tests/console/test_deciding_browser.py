"""Retry and discard in a real Chromium: by keys alone, without script, on a wide and on a narrow screen."""

from __future__ import annotations

import re
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from console.roles import Role
from ingestion.buffer.store import LaneBuffer
from ingestion.drain import Drainer
from ingestion.models import DeadLetter, Event
from tests.console.conftest import OpenPage, faults
from tests.console.letters import DEAD, later_event, mended, poisoned
from tests.console.rows import provider_row
from tests.support.lanes import LANES

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


def is_sound(page: Page) -> None:
    """No fault of accessibility, and no wider than the screen."""
    assert faults(page) == []
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth"), page.url


@pytest.fixture
def letters(transactional_db: None, buffer: LaneBuffer) -> list[DeadLetter]:
    """Two that a retry would store, the second out of order, and one that would fail again."""
    provider_row("default")
    clean, late = mended("m-1"), mended("m-2", key="customer-2")
    later_event(late)
    return [clean, late, poisoned()]


def tick(page: Page, *letters: DeadLetter) -> None:
    for letter in letters:
        page.get_by_label(f"Tick …{str(letter.pk)[-8:]}").focus()
        page.keyboard.press("Space")


def press(page: Page, name: str | re.Pattern[str]) -> None:
    page.get_by_role("button", name=name, exact=True).focus()
    page.keyboard.press("Enter")


@pytest.mark.parametrize(("width", "scheme"), [(1440, "light"), (390, "dark")])
def test_letters_are_ticked_previewed_and_retried_by_keys_alone(
    open_page: OpenPage, letters: list[DeadLetter], drainer: Drainer, width: int, scheme: str
) -> None:
    page = open_page(Role.DRI, width=width, scheme=scheme)
    page.goto(f"{DEAD}?state=open")
    is_sound(page)
    tick(page, *letters)
    press(page, "Retry ticked…")
    expect(page.get_by_role("heading", name="Retry 3 dead letters: preview")).to_be_visible()
    for sentence in ("1 would be stored", "1 would be stored out of order", "1 would fail again"):
        expect(page.locator(".console-sums")).to_contain_text(sentence)
    is_sound(page)
    page.get_by_label("Reason").fill("the check is mended")
    press(page, "Retry 2 dead letters")
    expect(page.get_by_role("heading", name="2 dead letters sent back to their lanes")).to_be_visible()
    expect(page.get_by_text("the check is mended")).to_be_visible()
    is_sound(page)
    for lane in range(LANES):
        drainer.drain(lane, job_id="test")
    page.reload()
    expect(page.get_by_text("retried and stored")).to_have_count(2)
    is_sound(page)
    page.get_by_role("link", name="the stored event").first.click()
    expect(page).to_have_url(re.compile("/ingestion/event/.*/change/$"))
    assert Event.objects.filter(redriven_at__isnull=False).count() == 2


@pytest.mark.parametrize(("width", "scheme"), [(1440, "dark"), (390, "light")])
def test_a_letters_own_page_leads_to_its_discard_which_asks_for_a_reason(
    open_page: OpenPage, letters: list[DeadLetter], width: int, scheme: str
) -> None:
    page = open_page(Role.PLATFORM_OPS, width=width, scheme=scheme)
    page.goto(f"{DEAD}{letters[2].pk}/change/")
    expect(page.get_by_role("heading", name="What a retry would do now")).to_be_visible()
    is_sound(page)
    press(page, "Discard…")
    press(page, "Discard 1 dead letter")
    expect(page.get_by_text("Say why: a discard needs a reason")).to_be_visible()
    is_sound(page)
    page.get_by_label("Reason").fill("test data")
    press(page, "Discard 1 dead letter")
    expect(page.get_by_text("discarded: test data")).to_be_visible()
    is_sound(page)


def test_what_changed_between_preview_and_confirmation_is_told_in_an_alert(
    open_page: OpenPage, letters: list[DeadLetter]
) -> None:
    page = open_page(Role.DRI)
    page.goto(DEAD)
    tick(page, letters[0], letters[1])
    press(page, "Retry ticked…")
    expect(page.get_by_role("heading", name="Retry 2 dead letters: preview")).to_be_visible()
    DeadLetter.objects.filter(pk=letters[0].pk).update(state="discarded")
    press(page, "Retry 2 dead letters")
    expect(page.get_by_role("alert")).to_contain_text("Nothing was done. 1 of these has changed")
    is_sound(page)
    press(page, "Retry 1 dead letter")
    expect(page.get_by_role("heading", name="1 dead letter sent back to their lanes")).to_be_visible()


def test_a_group_is_retried_without_script(open_page: OpenPage, letters: list[DeadLetter]) -> None:
    page = open_page(Role.DRI, script=False, width=390)
    page.goto(f"{DEAD}groups/")
    page.get_by_role("button", name=f"Retry all open with the error {letters[0].fingerprint}").click()
    expect(page.get_by_role("heading", name="Retry 2 dead letters: preview")).to_be_visible()
    page.get_by_role("button", name="Retry 2 dead letters").click()
    expect(page.get_by_text("on its way: not committed yet")).to_have_count(2)


@pytest.mark.parametrize("script", [True, False])
def test_nothing_ticked_is_said_on_the_list(open_page: OpenPage, letters: list[DeadLetter], script: Any) -> None:
    page = open_page(Role.DRI, script=script)
    page.goto(f"{DEAD}?state=open")
    page.get_by_role("button", name="Discard ticked…").click()
    expect(page.get_by_text("Nothing was ticked")).to_be_visible()
    expect(page).to_have_url(re.compile(r"/deadletter/\?state=open$"))
