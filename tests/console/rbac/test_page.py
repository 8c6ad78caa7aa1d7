"""The page: what was never probed or on other code is not shown as good, and what does not match comes first."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable

from django.contrib.auth.models import Group
from django.test import Client
from django.urls import reverse

from console.models import RbacRun
from console.rbac.matrix import matrix
from console.rbac.routes import METHODS
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
    assert "STALE:" not in shown(client)
    RbacRun.objects.update(build="0" * 16)
    text = shown(client)
    assert "STALE: probed on other code than what runs here" in text
    assert "allow STALE" in text
    assert "<td>allow</td>" not in text


def test_the_address_chooses_route_persona_state_and_run(signed_in: SignedIn) -> None:
    client = signed_in(Role.AUDITOR)
    sync_roles()
    first = kept(LANES)
    kept(LANES, LOG)
    page = reverse("admin:rbac")

    def matrix_of(query: str) -> str:
        text = " ".join(client.get(f"{page}?{query}").content.decode().split())
        return text[text.index('id="matrix-title"') :]

    assert f"/{LANES}" in matrix_of("")
    assert f"/{LANES}" not in matrix_of("route=/admin/log")
    assert f"/{LOG}" in matrix_of("route=/admin/log")
    assert f"/{LOG}" not in matrix_of(f"run={first.pk}")
    assert '<th scope="col">Leadership</th>' not in matrix_of("persona=Auditor")
    assert "No cell of this run is so" in matrix_of("state=MISMATCH")
    assert "No cell of this run is so" not in matrix_of("state=match")


def test_two_chosen_runs_are_compared(signed_in: SignedIn) -> None:
    client = signed_in(Role.AUDITOR)
    sync_roles()
    first = kept(LANES)
    second = kept(LANES, LOG)
    kept(LANES, LOG)
    address = reverse("admin:rbac")
    assert "Nothing changed since" in shown(client)
    text = client.get(f"{address}?against={first.pk}").content.decode()
    assert "no such cell" in text
    text = client.get(f"{address}?run={first.pk}&against={second.pk}").content.decode()
    assert "no such cell" in text


def test_the_export_holds_the_cells_that_the_page_shows_with_commit_and_time(signed_in: SignedIn) -> None:
    client = signed_in(Role.AUDITOR)
    sync_roles()
    run = kept(LANES, LOG)
    answer = client.get(reverse("admin:rbac_export"), {"route": "admin/log/", "persona": Role.LEADERSHIP.value})
    assert answer["Content-Disposition"].startswith('attachment; filename="rbac-matrix-')
    rows = list(csv.DictReader(io.StringIO(answer.content.decode())))
    assert {row["route"] for row in rows} == {f"/{LOG}"}
    assert {row["persona"] for row in rows} == {Role.LEADERSHIP.value}
    assert sorted(row["method"] for row in rows) == sorted(METHODS)
    assert {(row["commit"], row["state"]) for row in rows} == {(run.commit, "match")}
    RbacRun.objects.update(build="0" * 16)
    answer = client.get(reverse("admin:rbac_export"))
    assert {row["state"] for row in csv.DictReader(io.StringIO(answer.content.decode()))} == {"STALE"}
