"""Verifications that take longer than a page may: by order, with progress, cancel, and an outcome that is kept."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from django.conf import settings
from django.contrib.auth.models import User
from django.db import connection, transaction
from django.test import Client, override_settings
from django.urls import reverse

from console import verifications
from console.actions.operator import Operator, RefusalRecorded
from console.actions.verifications import cancel_verification, order_verification
from console.jobs import start_verification
from console.roles import Role
from evidence import selectors
from evidence.audit import Act, Actor, record
from evidence.models import AuditEntry, Bundle, VerificationOrder
from evidence.orders.life import living
from tests.console.letters import text_of
from tests.console.rows import bundle_row
from tests.support.workers import environment, wait_for

pytestmark = pytest.mark.django_db(transaction=True)
State = VerificationOrder.State
SECONDS = 60.0


@pytest.fixture(autouse=True)
def own_root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for name in ("DB_URL", "REDIS_URL"):
        monkeypatch.setenv(name, environment()[name])
    monkeypatch.setenv("EVIDENCE_ROOT", str(tmp_path))
    monkeypatch.setattr("console.admin.audit.VERIFIED_LIMIT_COUNT", 0)
    monkeypatch.setattr("console.pages.bundles.VERIFIED_LIMIT_BYTES", 10)
    monkeypatch.setattr(verifications, "TELL_EVERY_SECONDS", 0.0)
    with override_settings(AUTOCOM=replace(settings.AUTOCOM, evidence_root=tmp_path)):
        yield


def ask_for_log(client: Client) -> VerificationOrder:
    answer = client.post(reverse("admin:log_verify"))
    return VerificationOrder.objects.get(pk=int(answer["Location"].split("/")[-2]))


def ask_for_bundle(client: Client, row: Bundle) -> VerificationOrder:
    answer = client.post(reverse("admin:bundle_verify", args=[row.artifact_id]))
    assert answer["Location"].startswith(reverse("admin:bundle", args=[row.artifact_id]))
    return VerificationOrder.objects.latest("pk")


def page_of(client: Client, order: VerificationOrder) -> str:
    return text_of(client.get(reverse("admin:log_verification", args=[order.pk])))


def at(order: VerificationOrder) -> VerificationOrder:
    order.refresh_from_db()
    return order


def test_a_log_too_long_for_a_page_is_verified_by_a_process_of_its_own_and_the_outcome_is_kept(
    signed_in: Callable[..., Client],
) -> None:
    client = signed_in(Role.AUDITOR)
    assert "Verify the whole log" in text_of(client.get(reverse("admin:evidence_auditentry_verify")))
    order = ask_for_log(client)
    assert ask_for_log(client) == order, "a second person sees the same one"
    assert "Waits for the ops worker" in page_of(client, order)
    assert start_verification() == order.pk
    wait_for(lambda: not at(order).is_open, what="it ends", seconds=SECONDS)
    head = AuditEntry.objects.get(number=order.checked_count)
    assert (order.state, order.outcome, order.finding_count) == (State.DONE, "PASS", 0)
    text = page_of(client, order)
    assert f"Each of {order.checked_count:,} entries is as written and follows the last" in text
    assert f"{head.number}:{bytes(head.entry_sha256).hex()}" in text
    for page in ("admin:evidence_auditentry_verify", "admin:evidence_auditentry_changelist"):
        listed = text_of(client.get(reverse(page)))
        assert (
            f"{order.pk} check_circle PASS {order.checked_count:,} of {order.checked_count:,} entries auditor" in listed
        )
    ended = AuditEntry.objects.filter(act="verification.ended").latest("number")
    assert (ended.actor, ended.subject, ended.facts["outcome"]) == ("auditor", "audit log", "PASS")


@pytest.mark.django_db(transaction=False)
def test_a_changed_entry_is_found_and_never_green(signed_in: Callable[..., Client]) -> None:
    changed = record(Act.PROVIDER_ADDED, actor=Actor.process("pages"), subject="provider acme", reason="because")
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE evidence_auditentry DISABLE TRIGGER audit_entry_stays")
        cursor.execute("UPDATE evidence_auditentry SET reason = '' WHERE number = %s", [changed.number])
    client = signed_in(Role.AUDITOR)
    order = ask_for_log(client)
    verifications.settle(order.pk)
    assert (at(order).state, order.outcome, order.finding_count) == (State.DONE, "FAIL", 1)
    text = page_of(client, order)
    assert "cancel FAIL 1 finding in" in text
    assert f"entry {changed.number} was changed" in text


def test_progress_is_told_and_a_cancel_ends_it_without_an_outcome(
    signed_in: Callable[..., Client], monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(3):
        with transaction.atomic():
            record(Act.PROVIDER_ADDED, actor=Actor.process("pages"), subject="provider acme")
    monkeypatch.setattr(selectors, "READ_AT_ONCE_COUNT", 1)
    client = signed_in(Role.AUDITOR)
    order = ask_for_log(client)
    told = verifications.Told.__call__

    def then_cancelled(teller: verifications.Told, step: str, done: int, total: int) -> None:
        if done == 2:
            with living(order):
                VerificationOrder.objects.update(state=State.RUNNING)
                assert f"Entries read 1 Of {total:,}" in page_of(client, order)
            client.post(reverse("admin:log_verification_cancel", args=[order.pk]))
        told(teller, step, done, total)

    monkeypatch.setattr(verifications.Told, "__call__", then_cancelled)
    verifications.settle(order.pk)
    assert (at(order).state, order.outcome, order.checked_count) == (State.CANCELLED, "", 2)
    assert order.total_count > 2
    text = page_of(client, order)
    assert "Not verified: cancelled by auditor" in text
    assert "PASS" not in text
    acts = AuditEntry.objects.filter(subject="audit log", facts__order=order.pk).order_by("number")
    assert [each.act for each in acts] == ["verification.asked", "verification.cancelled", "verification.ended"]


def test_a_verification_whose_process_is_gone_is_shown_as_died_and_nothing_is_known(
    signed_in: Callable[..., Client],
) -> None:
    client = signed_in(Role.AUDITOR)
    order = ask_for_log(client)
    begun = order.asked_at - timedelta(minutes=2)  # and its lock is free
    VerificationOrder.objects.filter(pk=order.pk).update(state=State.RUNNING, started_at=begun, checked_count=1)
    assert "report died Its process died after 1 of" in page_of(client, order)
    assert client.get(reverse("admin:log_verification_progress", args=[order.pk])).status_code == 286
    again = ask_for_log(client)
    assert again != order
    assert start_verification() == again.pk
    assert at(order).state == State.DIED
    ended = AuditEntry.objects.filter(act="verification.ended", facts__order=order.pk).latest("number")
    assert (ended.actor, ended.facts["state"], ended.facts["outcome"]) == ("ops", "died", "")
    wait_for(lambda: not at(again).is_open, what="it ends", seconds=SECONDS)
    assert again.outcome == "PASS"


def test_a_bundle_above_the_pages_limit_is_verified_by_order_byte_by_byte(signed_in: Callable[..., Client]) -> None:
    row = bundle_row()
    client = signed_in(Role.AUDITOR)
    order = ask_for_bundle(client, row)
    assert (order.total_count, order.bundle_id) == (row.artifact.size_bytes, row.pk)
    verifications.settle(order.pk)
    assert (at(order).state, order.outcome) == (State.DONE, "FAIL")
    assert order.checked_count == order.total_count == row.artifact.size_bytes  # it cannot be unpacked
    address = reverse("admin:bundle_verification", args=[row.artifact_id, order.pk])
    text = text_of(client.get(address))
    assert "1 finding in" in text
    assert order.findings[0] in text
    for page in (
        reverse("admin:bundle", args=[row.artifact_id]),
        reverse("admin:evidence_artifact_change", args=[row.artifact_id]),
    ):
        assert address in client.get(page).content.decode()
    verified = AuditEntry.objects.filter(act="bundle.verified", actor="auditor").latest("number")
    assert verified.subject == f"artifact {row.artifact_id}"
    assert client.get(reverse("admin:bundle_verification", args=["0" * 64, order.pk])).status_code == 404
    assert client.get(reverse("admin:log_verification", args=[order.pk])).status_code == 404


def test_an_archive_that_left_the_store_is_not_verified_and_says_why(
    signed_in: Callable[..., Client], tmp_path: Path
) -> None:
    row = bundle_row()
    client = signed_in(Role.AUDITOR)
    order = ask_for_bundle(client, row)
    (path,) = tmp_path.rglob(row.artifact_id)
    path.unlink()
    verifications.settle(order.pk)
    assert (at(order).state, order.outcome) == (State.FAILED, "")
    text = text_of(client.get(reverse("admin:bundle_verification", args=[row.artifact_id, order.pk])))
    assert "Not verified:" in text
    assert "PASS" not in text


@pytest.mark.parametrize("is_of_bundle", [False, True])
def test_who_may_not_read_it_may_not_have_it_verified_nor_cancel_that(
    signed_in: Callable[..., Client], *, is_of_bundle: bool
) -> None:
    nobody = Operator(actor=Actor.process("nobody"), has=lambda *_: False)
    bundle = bundle_row() if is_of_bundle else None
    order = order_verification(Operator.command_line("somebody"), bundle)
    with pytest.raises(RefusalRecorded):
        order_verification(nobody, bundle)
    with pytest.raises(RefusalRecorded):
        cancel_verification(nobody, order.pk, bundle)
    assert (VerificationOrder.objects.count(), at(order).cancel_asked_at) == (1, None)


def test_whoever_may_no_longer_read_has_nothing_verified(signed_in: Callable[..., Client]) -> None:
    order = ask_for_log(signed_in(Role.AUDITOR))
    User.objects.get(username="auditor").groups.clear()
    verifications.settle(order.pk)
    assert (at(order).state, order.outcome) == (State.FAILED, "")
    assert order.why == "auditor does not hold evidence.view_auditentry any more"
