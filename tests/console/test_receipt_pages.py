"""Check a receipt, the event's own receipt and its proof, and broken promises, in the console."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from django.urls import reverse
from playwright.sync_api import expect

from autocom.kernel.clock import SYSTEM_CLOCK
from console.roles import Role
from evidence.audit import Act
from evidence.log.names import LogName
from evidence.log.proofs import event_proof
from evidence.log.sealer import seal_everything
from evidence.models import AuditEntry, PromiseIncident
from evidence.promises.check import Checker, check_promises
from ingestion.accept import promise_keys
from ingestion.buffer import keys
from ingestion.buffer.store import LaneBuffer
from ingestion.receipts import Receipt, read_receipt
from tests.console.conftest import OpenPage, faults
from tests.evidence.test_promises import forge
from tests.support.lanes import LANES, LaneKit
from tests.support.log import own_log

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def lanes(buffer: LaneBuffer, transactional_db: None, tmp_path: Path) -> Any:
    with own_log(tmp_path / "log"):
        yield LaneKit(buffer=buffer)


def line(receipt: Receipt) -> str:
    return receipt.line(promise_keys().receipt)


def lost(lanes: LaneKit) -> Receipt:
    """A promise that the checker finds broken."""
    receipt = lanes.receive("lost", lane=1)
    lanes.buffer.client.delete(keys.stream(1))
    now_us = lanes.buffer.now_us() + 61_000_000
    check_promises(Checker(buffer=lanes.buffer, lane_count=LANES, now_us=now_us, clock=SYSTEM_CLOCK))
    return receipt


def test_pasted_receipts_are_answered_one_by_one_with_their_proofs(lanes: LaneKit, signed_in: Any) -> None:
    sealed = lanes.receive("a")
    lanes.drain()
    seal_everything(LogName.EVENTS)
    waiting = lanes.receive("b")
    client = signed_in(Role.LEADERSHIP)
    pasted = f"{line(sealed)}\n{line(waiting)}\n{line(sealed).replace(' 1 ', ' 2 ')}"
    page = client.post(reverse("admin:receipts"), {"receipts": pasted})
    assert [each.answer.verdict.name for each in page.context["answers"]] == ["SEALED", "WAITING", "FORGED"]
    link = reverse("admin:receipt_proof", args=[sealed.event_id])
    assert page.content.decode().count(link) == 1
    proof = client.get(link)
    assert (proof["Content-Type"], proof["Content-Disposition"].startswith("attachment")) == (
        "text/plain; charset=utf-8",
        True,
    )
    assert proof.content.decode() == event_proof(sealed.event_id).text
    assert client.get(reverse("admin:receipt_proof", args=[waiting.event_id])).status_code == 404


@pytest.mark.parametrize("pasted", ["", "nonsense", "{", "acr1 x\n" * 501])
def test_what_is_no_receipt_is_said_on_the_page(signed_in: Any, pasted: str) -> None:
    page = signed_in(Role.AUDITOR).post(reverse("admin:receipts"), {"receipts": pasted})
    assert page.status_code == 200
    assert "receipt" in page.context["problem"]


def test_nobody_checks_receipts_without_the_permission(signed_in: Any) -> None:
    assert signed_in().post(reverse("admin:receipts"), {"receipts": "acr1"}).status_code == 403


def test_a_receipt_that_a_person_brings_and_that_is_missing_is_an_incident_in_their_name(
    lanes: LaneKit, signed_in: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    receipt = lanes.receive("a")
    lanes.buffer.client.delete(keys.stream(0))
    monkeypatch.setattr("evidence.promises.answer.DUE_AFTER_US", 0)
    signed_in(Role.AUDITOR).post(reverse("admin:receipts"), {"receipts": line(receipt)})
    assert PromiseIncident.objects.get().event_id == receipt.event_id
    entry = AuditEntry.objects.filter(act=Act.PROMISE_BROKEN.value).latest("number")
    assert (entry.actor_kind, entry.actor, entry.subject) == ("person", "auditor", f"event {receipt.event_id}")


def test_the_events_page_has_the_receipt_that_its_sender_got_and_leads_to_the_proof(
    lanes: LaneKit, signed_in: Any
) -> None:
    receipt = lanes.receive("a")
    lanes.drain()
    client = signed_in(Role.DRI)
    url = reverse("admin:ingestion_event_change", args=[receipt.event_id])
    assert line(receipt) in client.get(url).content.decode()
    assert read_receipt(line(receipt), keys=(promise_keys().receipt,)) == receipt
    link = reverse("admin:receipt_proof", args=[receipt.event_id])
    assert link not in client.get(url).content.decode()
    seal_everything(LogName.EVENTS)
    assert link in client.get(url).content.decode()


def test_a_broken_promise_is_on_the_overview_and_leads_to_its_page(lanes: LaneKit, signed_in: Any) -> None:
    receipt = lost(lanes)
    client = signed_in(Role.PLATFORM_OPS)
    figures = client.get(reverse("admin:index")).context["figures"]
    assert "1 broken promise" in figures.status
    (card,) = (card for card in figures.cards if card.key == "promises")
    assert (card.figure, card.is_bad) == ("1", True)
    assert str(receipt.event_id) in client.get(card.link).content.decode()
    detail = client.get(reverse("admin:evidence_promiseincident_change", args=[receipt.event_id])).content.decode()
    assert receipt.body_sha256.hex() in detail


@pytest.mark.browser
@pytest.mark.parametrize(("width", "scheme"), [(1440, "light"), (390, "dark")])
def test_receipts_are_checked_in_a_browser_by_keys_alone(
    lanes: LaneKit, open_page: OpenPage, width: int, scheme: str, tmp_path: Path
) -> None:
    sealed = lanes.receive("a")
    lanes.drain()
    seal_everything(LogName.EVENTS)
    missing = lost(lanes)
    changed = lanes.receive("b")
    lanes.drain()
    forge("UPDATE ingestion_event SET body_sha256 = sha256('other') WHERE id = %s", changed.event_id)
    page = open_page(Role.AUDITOR, width=width, scheme=scheme)
    page.goto(reverse("admin:receipts"))
    page.get_by_label("Receipts", exact=True).focus()
    page.keyboard.insert_text("\n".join(map(line, (sealed, missing, changed))))
    page.get_by_role("button", name="Check").focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("status").first).to_contain_text("1 kept and sealed")
    for url in (None, reverse("admin:evidence_promiseincident_changelist"), reverse("admin:index")):
        if url:
            page.goto(url)
        assert faults(page) == []
        assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth"), page.url
        name = page.url.rstrip("/").rsplit("/", 1)[-1]
        page.screenshot(path=tmp_path.parent / f"{name}-{width}-{scheme}.png", full_page=True)
