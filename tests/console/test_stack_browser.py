"""A running `manage.py up` in a real Chromium: a replay from its plan to its result, and evidence made and verified."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.console.conftest import faults, watch
from tests.project.up_kit import PATIENCE_SECONDS, Up, new_up, wait_for
from tests.support.evidence import digest

pytestmark = pytest.mark.browser

COUNT, RATE = 400, 40
SOME = re.compile(rf"\b(?!0\b)[1-3]?\d?\d of {COUNT}")
VERDICT = re.compile("PASS|FAIL|INCONCLUSIVE")  # a busy machine is slow, and so few acks prove no percentile


@pytest.fixture
def up() -> Iterator[Up]:
    with new_up() as up:
        up.start()
        wait_for(up.is_ready, what=lambda: f"readiness\n{up.text()}")
        yield up


@pytest.fixture
def page(chromium: Browser, up: Up) -> Iterator[Page]:
    """The DRI's, signed in with the password that the first start printed."""
    host, complaints = f"127.0.0.1:{up.console_port}", list[str]()
    context = chromium.new_context(base_url=f"http://{host}", viewport={"width": 1440, "height": 900})
    context.set_default_timeout(PATIENCE_SECONDS * 1_000)
    page = context.new_page()
    watch(page, host=host, complaints=complaints)
    page.goto("/admin/login/?next=/admin/replays/")
    page.get_by_label("Username").fill("dri")
    page.get_by_label("Password").fill(up.first_passwords["dri"])
    page.keyboard.press("Enter")
    expect.set_options(timeout=PATIENCE_SECONDS * 1_000)
    yield page
    expect.set_options(timeout=None)  # as it was
    context.close()
    assert complaints == []


def in_sidebar(page: Page, title: str) -> None:
    page.locator("#nav-sidebar").get_by_text(title, exact=True).click()


def test_a_replay_runs_before_the_eyes_its_events_are_followed_and_its_evidence_verified(
    page: Page, up: Up, tmp_path: Path
) -> None:
    page.get_by_role("link", name="Plan a replay…").click()
    page.get_by_label("Sends", exact=True).fill(str(COUNT))
    page.get_by_label("Sends a second", exact=True).fill(str(RATE))
    page.get_by_role("button", name="Show the plan").click()
    page.get_by_label("Reason").fill("a rehearsal")
    page.get_by_role("button", name="Start the run").click()

    # live: some of it first, then all, on the same page, without a reload
    page.evaluate("window.isSamePage = true")
    status = page.locator("#order-status")
    expect(page.locator("#order-state")).to_contain_text("running")
    expect(page.locator("#order-figures")).to_contain_text(SOME)
    expect(status).to_contain_text(VERDICT)
    expect(status).to_contain_text(f"{COUNT} of {COUNT} sent.")
    assert page.evaluate("window.isSamePage")
    result = page.locator("#order-result")
    for promise in ("lost", "idempotency violations", "order violations", "corrupted", "2xx without receipt"):
        expect(result.locator("tr", has=page.get_by_text(promise, exact=True)).first).to_contain_text("PASS")
    assert faults(page) == []
    run_id = urlsplit(page.url).path.rstrip("/").rpartition("/")[2]
    stored = up.rows("SELECT count(*), min(message_id) FROM ingestion_event WHERE message_id LIKE %s", f"{run_id}%")
    assert stored[0][0] > COUNT / 2  # fewer than sent: some are duplicates on purpose

    in_sidebar(page, "Follow an event")
    page.get_by_label("message id").fill(stored[0][1])
    page.keyboard.press("Enter")
    for step in ("received", "accepted", "claimed", "committed"):
        expect(page.get_by_role("row", name=re.compile(f"^{step} "))).to_be_visible()
    assert faults(page) == []

    in_sidebar(page, "Bundles")
    page.get_by_role("button", name=f"Make bundle: smoke, of run {run_id}").click()
    page.get_by_role("link", name="see it").click()  # it comes by itself
    page.get_by_role("button", name="Verify now").click()
    expect(page.get_by_role("status")).to_contain_text(VERDICT)
    expect(page.get_by_role("status")).not_to_contain_text("FAIL")
    assert faults(page) == []

    (file := tmp_path / "minutes.md").write_text("who was there, and what was asked\n")
    in_sidebar(page, "Evidence")
    page.get_by_role("link", name="Upload", exact=True).click()
    page.get_by_label("File").set_input_files(file)
    page.get_by_label("Expected SHA-256").fill(digest(file.read_bytes()))
    page.get_by_role("button", name="Upload").click()
    page.get_by_role("link", name="Verify now").click()
    expect(page.get_by_text("PASS:")).to_be_visible()
