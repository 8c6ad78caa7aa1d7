"""Signing in with a second factor in a real Chromium: silent, accessible, narrow, and without script."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.utils import timezone
from playwright.sync_api import Browser, Page, expect

from console.models import ConsoleSession, IdentityLink
from console.roles import Role
from console.sign_in import factor
from tests.console.conftest import faults, watch
from tests.console.sign_in.kit import code_of, fail, set_up_provider
from tests.support.gates import PASSWORD, person

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


@pytest.fixture(params=[(1440, "light", True), (390, "dark", True), (390, "light", False)], ids=str)
def page(request: pytest.FixtureRequest, chromium: Browser, live_server: Any, settings: Any) -> Iterator[Page]:
    """Of somebody who is not signed in; the last one without script."""
    width, scheme, script = request.param
    settings.SECOND_FACTOR = "optional"
    context = chromium.new_context(
        base_url=live_server.url,
        viewport={"width": width, "height": 900},
        color_scheme=scheme,
        reduced_motion="reduce",
        java_script_enabled=script,
    )
    page = context.new_page()
    complaints: list[str] = []
    if script:
        watch(page, host=live_server.url.partition("://")[2], complaints=complaints)
    yield page
    context.close()
    assert [told for told in complaints if "status of 429" not in told] == []  # Chromium's own word on a locked name


def is_sound(page: Page) -> None:
    """No fault of accessibility, and no wider than the screen."""
    if page.context.browser is not None and page.evaluate("typeof htmx") != "undefined":
        assert faults(page) == []
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth"), page.url


def give_password(page: Page) -> None:
    page.goto("/admin/login/?next=/admin/second-factor/")
    page.get_by_label("Username").fill("dri")
    page.get_by_label("Password").fill(PASSWORD)
    page.keyboard.press("Enter")


def test_a_person_enrols_signs_in_with_a_code_and_with_a_recovery_code_and_removes_the_factor(page: Page) -> None:
    user = person("dri", Role.DRI)
    give_password(page)
    expect(page.get_by_role("heading", name="Not enrolled")).to_be_visible()
    is_sound(page)
    page.get_by_role("region", name="Authenticator app").get_by_label("Your password").fill(PASSWORD)
    page.get_by_role("button", name="Begin").click()
    expect(page.get_by_role("img", name="QR code of the secret below")).to_be_visible()
    is_sound(page)
    secret = str(page.locator("#factor-secret").text_content()).replace(" ", "")
    page.get_by_label("Code", exact=True).fill(code_of(secret, ahead=-1))
    page.get_by_role("button", name="Enrol").click()
    expect(page.locator(".console-codes li")).to_have_count(10)
    is_sound(page)
    codes = page.locator(".console-codes li").all_text_contents()
    page.get_by_role("link", name="I have kept them").click()
    expect(page.get_by_text("10 left")).to_be_visible()
    is_sound(page)

    ConsoleSession.objects.all().delete()
    give_password(page)
    expect(page).to_have_url(re.compile(r"/admin/login/code/\?next=%2Fadmin%2Fsecond-factor%2F$"))
    is_sound(page)
    page.get_by_label("Code of your authenticator app").fill("123456")
    page.keyboard.press("Enter")
    expect(page.get_by_text("The code is wrong, or was used before")).to_be_visible()
    is_sound(page)
    page.get_by_label("Code of your authenticator app").fill(code_of(secret))
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Enrolled")).to_be_visible()

    ConsoleSession.objects.all().delete()
    give_password(page)
    page.get_by_label("Code of your authenticator app").fill(codes[0])
    page.keyboard.press("Enter")
    expect(page.get_by_text("9 left")).to_be_visible()
    form = page.locator("section", has=page.get_by_role("heading", name="Remove"))
    form.get_by_label("Your password").fill(PASSWORD)
    form.get_by_label("Code of the app").fill(codes[1])
    form.get_by_role("button", name="Remove the second factor").click()
    expect(page.get_by_role("heading", name="Not enrolled")).to_be_visible()
    assert not factor.is_on(user)


def test_the_login_page_says_in_words_that_a_name_is_locked_and_sessions_end_by_a_button(page: Page) -> None:
    person("dri", Role.DRI)
    person("ops", Role.PLATFORM_OPS)
    fail("dri", address="127.0.0.1")
    give_password(page)
    expect(page.get_by_text("Too many failed sign-ins with this name from your address")).to_be_visible()
    is_sound(page)
    page.get_by_label("Username").fill("ops")
    page.get_by_label("Password").fill(PASSWORD)
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Not enrolled")).to_be_visible()
    page.goto("/admin/sign-ins/")
    is_sound(page)
    page.get_by_role("button", name="Lift the lock of dri").click()
    expect(page.get_by_text("dri can sign in from 127.0.0.1 again")).to_be_visible()
    page.goto("/admin/my-sessions/")
    is_sound(page)
    page.get_by_role("button", name="End the session from").click()
    expect(page.get_by_label("Username")).to_be_visible()


def test_a_linked_person_signs_in_by_the_button_and_ends_on_the_overview(
    chromium: Browser, live_server: Any, settings: Any
) -> None:
    """Of a browser with script and of one without, wide and narrow: every page on the way is sound."""
    person("dri", Role.DRI)
    with set_up_provider(settings, base=live_server.url) as provider:
        settings.SECOND_FACTOR = "optional"
        for width, scheme, script in ((1440, "light", True), (390, "dark", False)):
            context = chromium.new_context(
                base_url=live_server.url,
                viewport={"width": width, "height": 900},
                color_scheme=scheme,  # type: ignore[arg-type]
                java_script_enabled=script,
            )
            page = context.new_page()
            page.goto("/admin/")
            is_sound(page)
            page.get_by_role("button", name="Sign in with Example ID").click()
            page.get_by_role("button", name="Let me in").click()
            if width == 1440:
                expect(page.get_by_text("Your account there is not one that may use this console.")).to_be_visible()
                expect(page.get_by_text(provider.subject, exact=True)).to_be_visible()
                is_sound(page)
                IdentityLink.objects.create(
                    user=User.objects.get(), issuer=provider.issuer, subject=provider.subject, linked_at=timezone.now()
                )
                page.get_by_role("link", name="Back to the sign-in").click()
                page.get_by_role("button", name="Sign in with Example ID").click()
                page.get_by_role("button", name="Let me in").click()
            expect(page).to_have_url(f"{live_server.url}/admin/")
            expect(page.get_by_role("heading", name="Overview")).to_be_visible()
            page.goto("/admin/second-factor/")
            page.get_by_role("button", name="Sign in at Example ID again").click()
            page.get_by_role("button", name="Let me in").click()
            expect(page.get_by_text("this stands once for your password")).to_be_visible()
            is_sound(page)
            context.close()
