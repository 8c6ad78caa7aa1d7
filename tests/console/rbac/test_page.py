"""The page: what was never probed or on other code is not shown as good, and what does not match comes first."""

from __future__ import annotations

from collections.abc import Callable

from django.contrib.auth.models import Group
from django.test import Client
from django.urls import reverse

from console.models import RbacRun
from console.rbac.matrix import matrix
from console.rbac.runs import Change, changes, keep_run
from console.roles import Role, sync_roles
from tests.console.rbac.test_matrix import named

type SignedIn = Callable[..., Client]
LANES, LOG = "admin/ingestion/lane/", "admin/log/"


def kept(*paths: str) -> RbacRun:
    return keep_run(matrix(named(*paths)), asked_by="test", matrix_sha256="5" * 64)


def shown(client: Client) -> str:
    return " ".join(client.get(reverse("admin:rbac")).content.decode().split())


def test_before_the_first_probe_every_cell_is_untested(signed_in: SignedIn) -> None:
    assert "Never probed on this commit: every cell UNTESTED" in shown(signed_in(Role.AUDITOR))


def test_what_does_not_match_is_first_and_named_and_what_changed_is_told(signed_in: SignedIn) -> None:
    client = signed_in(Role.AUDITOR)
    sync_roles()
    before = kept(LANES, LOG)
    Group.objects.get(name=Role.LEADERSHIP.value).permissions.remove(
        *Group.objects.get(name=Role.LEADERSHIP.value).permissions.filter(codename="view_seal")
    )
    after = kept(LANES, LOG)
    text = shown(client)
    matrix_text = text[text.index("Matrix of routes") :]
    assert "deny MISMATCH" in matrix_text
    assert matrix_text.index(f"/{LOG}") < matrix_text.index(f"/{LANES}")
    found = changes(before, after)
    assert Change(LOG, "GET", Role.LEADERSHIP.value, "allow, match", "deny, MISMATCH") in found
    assert {(one.route, one.persona) for one in found} == {(LOG, Role.LEADERSHIP.value)}
    assert f"{len(found)} cells since" in text


def test_a_run_of_other_code_is_stale_and_none_of_its_cells_is_good(signed_in: SignedIn) -> None:
    client = signed_in(Role.AUDITOR)
    sync_roles()
    kept(LOG)
    assert "STALE" not in shown(client)
    RbacRun.objects.update(build="0" * 16)
    text = shown(client)
    assert "STALE: probed on other code than what runs here" in text
    assert "allow STALE" in text
    assert "<td>allow</td>" not in text
