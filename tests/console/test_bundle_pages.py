"""Who may ask for bundles and see them, and what the pages say of one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from django.conf import settings
from django.test import Client
from django.urls import reverse

from console.access import Permission
from console.roles import PERMISSIONS_BY_ROLE, Role
from evidence.models import AuditEntry, BundleOrder
from evidence.orders.life import living
from tests.console.rows import ago, bundle_row

pytestmark = pytest.mark.django_db
SignedIn = Callable[..., Client]
RUN = "r20260102T030405-0a0b0c"


@pytest.fixture(autouse=True)
def own_root(tmp_path: Path) -> Iterator[None]:
    before = settings.AUTOCOM
    settings.AUTOCOM = replace(before, evidence_root=tmp_path)
    yield
    settings.AUTOCOM = before


def ask(client: Client, run_id: str = RUN, gate: str = "a") -> int:
    return client.post(reverse("admin:bundles"), {"run": run_id, "gate": gate}).status_code


@pytest.mark.parametrize("role", list(Role))
def test_bundles_are_asked_for_by_those_who_may_export_and_a_refusal_is_on_record(
    signed_in: SignedIn, role: Role
) -> None:
    bundle_row()
    BundleOrder.objects.all().delete()
    may = Permission.EVIDENCE_EXPORT in PERMISSIONS_BY_ROLE[role]
    assert ask(signed_in(role)) == (302 if may else 403)
    assert BundleOrder.objects.filter(run_id=RUN, state="waiting", actor=role.name.lower()).count() == may
    assert AuditEntry.objects.filter(act="permission.refused", subject=f"bundle of run {RUN}").count() == (not may)


def test_the_button_is_shown_to_those_who_may_use_it(signed_in: SignedIn) -> None:
    bundle_row()
    assert b"Make bundle" in signed_in(Role.DRI).get(reverse("admin:bundles")).content
    assert b"Make bundle" not in signed_in(Role.LEADERSHIP).get(reverse("admin:bundles")).content


@pytest.mark.parametrize("page", ["bundle", "bundle_verify"])
def test_nobody_without_the_permission_sees_a_bundle(signed_in: SignedIn, page: str) -> None:
    address = reverse(f"admin:{page}", args=[bundle_row().artifact_id])
    client = signed_in()
    assert (client.post(address) if page == "bundle_verify" else client.get(address)).status_code == 403
    assert client.get(reverse("admin:bundles")).status_code == 403


def test_a_run_that_is_not_below_the_evidence_root_is_refused_with_words(signed_in: SignedIn, tmp_path: Path) -> None:
    client = signed_in(Role.DRI)
    for run_id in (str(tmp_path), "../..", "r20990102T030405-0a0b0c"):
        assert ask(client, run_id) == 302
        page = client.get(reverse("admin:bundles")).content.decode()
        assert "there is no such run below EVIDENCE_ROOT" in page
    assert not BundleOrder.objects.exists()


def test_the_page_of_a_bundle_lists_its_files_from_the_archive_and_what_it_misses(signed_in: SignedIn) -> None:
    row = bundle_row()
    page = signed_in(Role.AUDITOR).get(reverse("admin:bundle", args=[row.artifact_id])).content.decode()
    assert "data/gate/verdict.json" in page
    assert "data/budget/ledger.csv" in page
    assert "ca3d163bab055381827226140568f3bef7eaac187cebd76878e0b63e9e442356" in page  # SHA-256 of `{}` and a line end


def test_verifying_says_what_is_wrong_and_is_on_record(signed_in: SignedIn) -> None:
    row = bundle_row()
    answer = signed_in(Role.AUDITOR).post(reverse("admin:bundle_verify", args=[row.artifact_id]))
    assert "FAIL:" in answer.content.decode()
    entry = AuditEntry.objects.get(act="bundle.verified")
    assert (entry.actor, entry.subject) == ("auditor", f"artifact {row.artifact_id}")
    assert sum(entry.facts["findings"].values()) > 0


def test_an_archive_that_left_the_store_is_unknown_and_no_error_page(signed_in: SignedIn, tmp_path: Path) -> None:
    row = bundle_row()
    (path,) = tmp_path.rglob(row.artifact_id)
    path.unlink()
    page = signed_in(Role.AUDITOR).get(reverse("admin:bundle", args=[row.artifact_id]))
    assert "UNKNOWN: the archive cannot be read" in page.content.decode()


def test_a_bundle_in_the_making_is_polled_with_its_step_until_it_is_settled(signed_in: SignedIn) -> None:
    bundle_row()
    order = under_way()
    client = signed_in(Role.LEADERSHIP)
    with living(order):
        page = client.get(reverse("admin:bundles")).content.decode()
        assert "data-live" in page
        assert "running</span>: packing the archive" in page
        assert "Cancel" not in page
        assert client.get(reverse("admin:bundle_orders")).status_code == 200
    answer = client.get(reverse("admin:bundle_orders"))  # its lock is free: the process is gone
    assert (answer.status_code, "died</span>: its process ended without a word" in answer.content.decode()) == (
        286,
        True,
    )
    assert "data-live" not in client.get(reverse("admin:bundles")).content.decode()


@pytest.mark.parametrize("role", list(Role))
def test_the_making_of_a_bundle_is_cancelled_by_those_who_may_export(signed_in: SignedIn, role: Role) -> None:
    bundle_row()
    order = under_way()
    may = Permission.EVIDENCE_EXPORT in PERMISSIONS_BY_ROLE[role]
    with living(order):
        client = signed_in(role)
        assert client.post(reverse("admin:bundles"), {"cancel": order.pk}).status_code == (302 if may else 403)
        page = client.get(reverse("admin:bundles")).content.decode()
    order.refresh_from_db()
    assert (order.cancel_asked_by == role.name.lower()) == may
    assert (f"{role.name.lower()} cancelled it: it ends after this step" in page) == may
    assert AuditEntry.objects.filter(act="bundle.cancelled", actor=role.name.lower()).count() == may


@pytest.mark.parametrize("number", ["0", "x", "9" * 40])
def test_an_order_that_does_not_exist_cannot_be_cancelled(signed_in: SignedIn, number: str) -> None:
    answer = signed_in(Role.DRI).post(reverse("admin:bundles"), {"cancel": number}, follow=True)
    assert "there is no such order" in answer.content.decode()


def under_way() -> BundleOrder:
    given = {
        "state": "running",
        "step": "packing the archive",
        "asked_at": ago(minutes=2),
        "started_at": ago(minutes=2),
    }
    return BundleOrder.objects.create(run_id=RUN, gate="a", actor_kind="person", actor="dri", **given)
