"""A decision in a real Chromium: from a passed gate to LIMITED and back to OBSERVER, by two people, by keys alone."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from django.urls import reverse
from playwright.sync_api import Page, expect

from console import mode_banner
from console.roles import Role
from evidence.decisions import dri
from evidence.gates.evaluate import GateVerdict
from evidence.models import Approval, AuditEntry, Bundle, Decision, ModeChange
from evidence.modes import Mode, current_mode
from tests.console.budget_rows import signed_in_as
from tests.console.conftest import OpenPage, faults
from tests.evidence.test_gates import judged
from tests.support.gates import PASSWORD, TEST, bundle, frozen_gate, own_store, person

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]

type OpenAs = Callable[..., Page]
BAND = "[aria-label='Mode']"


@pytest.fixture(autouse=True)
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(mode_banner, "POLL_SECONDS", 1)
    with own_store(tmp_path / "evidence"):
        yield


@pytest.fixture
def open_as(open_page: OpenPage) -> OpenAs:
    """ann is the DRI of the frozen gate and, like bob, of Leadership; olga of Platform Ops. Each has a browser."""
    person("ann", Role.DRI, Role.LEADERSHIP)
    person("bob", Role.LEADERSHIP)
    person("olga", Role.PLATFORM_OPS)
    dri.assign(frozen_gate(), username="ann", actor=TEST, reason="owns the launch")
    return lambda username, **kind: open_page(client=signed_in_as(username), **kind)


def is_sound(page: Page) -> None:
    """No fault of accessibility, and no wider than the screen."""
    assert faults(page) == []
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth"), page.url


def judged_bundle(verdict: GateVerdict) -> Bundle:
    """Its verdict tells of every criterion of the gate."""
    return bundle(verdict.outcome.value, criteria=verdict.as_json()["criteria"])


def gate(page: Page) -> None:
    page.goto(reverse("admin:gate", args=["a"]))


def keyed(page: Page, form: str, *words: str) -> None:
    """Typed from the form's first field to its button, which Enter presses: no pointer touches the page."""
    page.locator(f"#{form}").focus()
    for word in words:
        page.keyboard.type(word)
        page.keyboard.press("Tab")
    page.keyboard.press("Enter")


def rows(page: Page) -> dict[str, list[str]]:
    """The criteria as the page shows them."""
    found = page.get_by_role("region", name="Criteria").locator("tbody tr").all()
    return {
        str(row.locator("th").inner_text()).removesuffix(" *"): row.locator("td").all_inner_texts() for row in found
    }


def test_two_people_take_a_passed_gate_to_limited_and_one_takes_it_back_at_once(open_as: OpenAs) -> None:
    verdict = judged()
    judged_bundle(verdict)
    ann, bob, watching = open_as("ann"), open_as("bob", scheme="dark"), open_as("olga", width=390)

    gate(ann)
    expect(ann.locator("#gate-verdict")).to_contain_text("PASS")
    told = rows(ann)
    assert {name: cells[-1] for name, cells in told.items()} == {each.name: each.source for each in verdict.criteria}
    assert [name for name, cells in told.items() if "PASS" not in cells[0] or "UNKNOWN" in cells[1]] == []
    assert told["ack P95"][1:3] == ["12.5 ms", "<= 120.0 ms"]
    is_sound(ann)
    keyed(ann, "go-trigger", "any guardrail", "mode set OBSERVER", "ann", "all met", PASSWORD)
    expect(ann.get_by_text("It enables nothing until another person approves it")).to_be_visible()
    expect(ann.get_by_text("Another person than ann has to approve it.")).to_be_visible()
    decision = Decision.objects.get()
    is_sound(ann)

    # whoever decided may approve other decisions: for this one neither a button, nor a form of their own making
    expect(ann.get_by_role("button", name="Approve this GO")).to_have_count(0)
    ann.locator("#no-go-reason").fill("my own GO")
    ann.locator("#no-go-password").fill(PASSWORD)
    ann.locator("form:has(#no-go-reason)").evaluate(
        """(form, number) => {
            const button = form.querySelector("button");
            button.value = "approve";
            button.insertAdjacentHTML("beforebegin", `<input type="hidden" name="decision" value="${number}">`);
        }""",
        decision.audit_number,
    )
    ann.get_by_role("button", name="NO-GO").click()
    expect(ann.get_by_text("the DRI cannot be the second person")).to_be_visible()
    assert not Approval.objects.exists()

    gate(bob)
    keyed(bob, f"approve-{decision.audit_number}-reason", "looked at it", PASSWORD)
    expect(bob.get_by_text("approved: audit entry")).to_be_visible()
    expect(bob.get_by_text(re.compile("^Approved by bob, .*: looked at it$"))).to_be_visible()
    is_sound(bob)
    assert current_mode() is Mode.OBSERVER  # a decision enables; a person sets

    watching.goto(reverse("admin:gates"))
    expect(watching.locator(BAND)).to_contain_text("OBSERVER")
    ann.goto(reverse("admin:mode"))
    is_sound(ann)
    ann.get_by_label("share of the ordering keys").fill("0.05")
    ann.get_by_label("Reason").fill("canary")
    ann.get_by_label("Your password").fill(PASSWORD)
    ann.get_by_role("button", name="Up to LIMITED").click()
    expect(ann.get_by_text("OBSERVER to LIMITED")).to_be_visible()
    expect(ann.locator(BAND)).to_contain_text("LIMITED")
    assert "0.05" in ann.locator("section", has=ann.get_by_role("heading", name="LIMITED")).inner_text()
    is_sound(ann)
    expect(watching.locator(BAND)).to_contain_text("LIMITED")  # a tab that was open all the time, on a phone
    expect(watching.locator(BAND)).to_have_class(re.compile("console-mode--limited"))
    expect(watching).to_have_title(re.compile(r"^\[LIMITED\]"))
    is_sound(watching)

    watching.goto(reverse("admin:mode"))
    expect(watching.get_by_role("button", name="Up to")).to_have_count(0)
    watching.get_by_role("button", name="Back to OBSERVER").focus()
    watching.keyboard.press("Enter")  # no reason: the browser asks for one, and nothing is sent
    assert current_mode() is Mode.LIMITED
    keyed(watching, "down-reason", "complaints rise")
    expect(watching.locator(BAND)).to_contain_text("OBSERVER")
    expect(watching.get_by_text("LIMITED to OBSERVER: audit entry")).to_be_visible()
    expect(watching.get_by_role("cell", name="complaints rise")).to_be_visible()
    is_sound(watching)
    assert current_mode() is Mode.OBSERVER
    assert ModeChange.objects.latest("pk").actor == "olga"


def test_a_failed_gate_offers_no_go_and_says_which_criterion_stands_in_the_way(open_as: OpenAs) -> None:
    judged_bundle(judged(ack_ms={"count": 30_000, "p95": 130.4}))
    page = open_as("ann", width=390, scheme="dark")
    gate(page)
    expect(page.locator("#gate-verdict")).to_contain_text("FAIL")
    name, cells = next(iter(rows(page).items()))
    assert (name, cells[1:3]) == ("ack P95", ["130.4 ms", "<= 120.0 ms"])
    decide = page.locator("section", has=page.get_by_role("heading", name="Decide"))
    expect(decide).to_contain_text("is not possible: the newest verdict is FAIL: ack P95. It cannot be overridden")
    expect(decide.get_by_role("button", name="GO", exact=True)).to_be_disabled()
    expect(page.locator("#go-trigger")).to_have_count(0)
    is_sound(page)
    keyed(page, "no-go-reason", "too slow", PASSWORD)
    expect(page.get_by_text("NO-GO: audit entry")).to_be_visible()
    assert Decision.objects.get().kind == Decision.Kind.NO_GO
    assert AuditEntry.objects.filter(act="decision.made", actor="ann").exists()
    is_sound(page)
