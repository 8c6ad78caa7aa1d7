"""Passkeys in a real Chromium with an authenticator of its own: under the CSP, silent, accessible, narrow."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from console.models import ConsoleSession
from console.roles import Role
from console.sign_in import factor
from evidence.audit import Actor
from evidence.decisions import dri
from evidence.models import Decision
from tests.console.conftest import faults, watch
from tests.support.gates import PASSWORD, frozen_gate, person

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


@pytest.fixture(params=[(1440, "light"), (390, "dark")], ids=str)
def page(request: pytest.FixtureRequest, chromium: Browser, live_server: Any, settings: Any) -> Iterator[Page]:
    """Of somebody who is not signed in; it complains about every message of the console."""
    width, scheme = request.param
    settings.SECOND_FACTOR = "deciders"
    context = chromium.new_context(
        base_url=live_server.url,
        viewport={"width": width, "height": 900},
        color_scheme=scheme,
        reduced_motion="reduce",
    )
    page = context.new_page()
    complaints: list[str] = []
    watch(page, host=live_server.url.partition("://")[2], complaints=complaints)
    yield page
    context.close()
    assert complaints == []


def is_sound(page: Page) -> None:
    """No fault of accessibility, and no wider than the screen."""
    assert faults(page) == []
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth"), page.url


def give_password(page: Page, path: str) -> None:
    page.goto(f"/admin/login/?next={path}")
    page.get_by_label("Username").fill("ann")
    page.get_by_label("Password").fill(PASSWORD)
    page.keyboard.press("Enter")


def plug_in(page: Page) -> None:
    """An authenticator that says yes at once."""
    session = page.context.new_cdp_session(page)
    session.send("WebAuthn.enable")
    kind = {"protocol": "ctap2", "transport": "internal", "hasUserVerification": True, "isUserVerified": True}
    session.send(
        "WebAuthn.addVirtualAuthenticator",
        {"options": {**kind, "hasResidentKey": True, "automaticPresenceSimulation": True}},
    )


def panel(page: Page, heading: str) -> Any:
    return page.locator("section", has=page.get_by_role("heading", name=heading))


def test_a_person_adds_a_passkey_signs_in_decides_and_removes_it_with_it(page: Page) -> None:
    user = person("ann", Role.DRI)
    gate = frozen_gate()
    dri.assign(gate, username="ann", actor=Actor.process("test"), reason="owns the launch")
    plug_in(page)

    give_password(page, "/admin/second-factor/")
    adding = panel(page, "Add a passkey")
    expect(adding).to_be_visible()
    is_sound(page)
    adding.get_by_label("Its name").fill("laptop")
    adding.get_by_label("Your password").fill(PASSWORD)
    adding.get_by_role("button", name="Add a passkey").click()
    expect(page.get_by_role("heading", name="Create the passkey laptop")).to_be_visible()
    is_sound(page)
    page.get_by_role("button", name="Create the passkey").click()
    expect(page.locator(".console-codes li")).to_have_count(10)
    page.get_by_role("link", name="I have kept them").click()
    expect(page.get_by_role("row", name="laptop").get_by_text("never")).to_be_visible()
    is_sound(page)

    ConsoleSession.objects.all().delete()
    give_password(page, "/admin/gates/a/")
    expect(page.get_by_label("Recovery code")).to_be_visible()
    is_sound(page)
    page.get_by_role("button", name="Use a passkey").click()
    deciding = page.locator("form", has=page.get_by_role("button", name="NO-GO"))
    expect(deciding).to_be_visible()
    is_sound(page)
    deciding.get_by_label("Reason").fill("not yet")
    deciding.get_by_label("Your password").fill(PASSWORD)
    deciding.get_by_role("button", name="Use a passkey").click()
    expect(deciding.get_by_text("The passkey has answered. Send the form within five minutes.")).to_be_visible()
    deciding.get_by_role("button", name="NO-GO").click()
    expect(page.get_by_text("NO-GO: audit entry")).to_be_visible()
    assert Decision.objects.get().reason == "not yet"

    page.goto("/admin/second-factor/")
    removing = panel(page, "Remove")
    removing.get_by_label("Your password").fill(PASSWORD)
    removing.get_by_role("button", name="Use a passkey").click()
    expect(removing.get_by_text("The passkey has answered")).to_be_visible()
    is_sound(page)
    removing.get_by_role("button", name="Remove the second factor").click()
    expect(page.get_by_role("heading", name="Not enrolled: you cannot decide")).to_be_visible()
    assert not factor.is_on(user)
