"""The matrix on real requests: what is declared is what happens, and nothing of the probe is left."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest
from django.conf import settings
from django.contrib.auth.models import Group, User
from django.core.management import call_command
from django.db.models import Model

from autocom.build import build
from console.api.v1.bundles import BundleList
from console.models import IdempotentCall, RateWindow, ServiceToken
from console.rbac.matrix import matrix, policy_csv
from console.rbac.personas import PERSONAS
from console.rbac.policy import POLICY
from console.rbac.probe import Verdict
from console.rbac.routes import Route, routes
from console.roles import Role, sync_roles
from evidence.audit import Act
from evidence.bundles.parts.left import RBAC_PATHS, collect_rbac
from evidence.bundles.run import Run
from evidence.models import Artifact, AuditEntry
from evidence.runs.environment import commit
from tests.support.gates import own_store

GOLDEN = Path(__file__).parent / "policy.csv"
KEPT: tuple[type[Model], ...] = (User, ServiceToken, RateWindow, IdempotentCall, Artifact, AuditEntry)


def named(*paths: str) -> list[Route]:
    found = [route for route in routes() if route.name in paths]
    assert len(found) == len(paths)
    return found


def test_the_declared_policy_is_the_one_that_was_reviewed() -> None:
    assert policy_csv() == GOLDEN.read_text(), (
        f"read the difference, then: manage.py rbac_matrix --policy > {GOLDEN.relative_to(settings.BASE_DIR)}"
    )


@pytest.mark.django_db(transaction=True)
def test_every_route_method_and_persona_matches_and_the_command_leaves_files_that_a_bundle_takes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sync_roles()
    before = {model: model._default_manager.count() for model in KEPT}
    with own_store(tmp_path), pytest.raises(SystemExit) as ended:
        call_command("rbac_matrix", json=True, by="somebody")
    told = json.loads(capsys.readouterr().out)
    assert (ended.value.code, told["faults"]) == (0, [])
    assert told["cells"] == told["match"] == sum(len(route.methods) for route in routes()) * len(PERSONAS)
    rows = list(csv.DictReader((tmp_path / "rbac/matrix.csv").open(newline="")))
    assert (len(rows), {row["verdict"] for row in rows}) == (told["cells"], {"match"})
    with own_store(tmp_path):
        collect_rbac(cast(Run, SimpleNamespace(code={**commit(), "build": build()})), tmp_path / "bag")
    assert all((tmp_path / "bag" / path).is_file() for path in RBAC_PATHS)
    entry = AuditEntry.objects.filter(act=Act.RBAC_TESTED.value).latest("number")
    assert (entry.actor, entry.facts["mismatch"]) == ("os:somebody", 0)
    after = {model: model._default_manager.count() for model in KEPT}
    before[AuditEntry] += 1  # of the act itself
    assert after == before


@pytest.mark.django_db
def test_a_role_that_has_lost_a_permission_in_the_database_is_a_mismatch() -> None:
    sync_roles()
    Group.objects.get(name=Role.AUDITOR.value).permissions.filter(codename="view_event").delete()
    told = matrix(named("admin/ingestion/event/"))
    assert {(cell.persona, cell.verdict) for cell in told.faults} >= {(Role.AUDITOR.value, Verdict.MISMATCH)}
    assert told.outcome == "FAIL"


@pytest.mark.django_db
def test_a_route_without_a_row_is_untested(monkeypatch: pytest.MonkeyPatch) -> None:
    sync_roles()
    found = named("admin/log/")
    monkeypatch.delitem(POLICY, "admin/log/")
    told = matrix(found)
    assert {cell.verdict for cell in told.cells} == {Verdict.UNTESTED}
    assert told.outcome == "INCONCLUSIVE"


@pytest.mark.django_db
def test_a_page_that_fails_is_untested_with_the_error(monkeypatch: pytest.MonkeyPatch) -> None:
    sync_roles()
    monkeypatch.setattr("console.guards.GuardedPage.has_permission", lambda _: 1 / 0)
    told = matrix(named("admin/log/"))
    assert {cell.decision for cell in told.faults if cell.verdict is Verdict.UNTESTED} == {
        "ZeroDivisionError: division by zero"
    }
    assert told.count(Verdict.UNTESTED) == 80


@pytest.mark.django_db
def test_an_address_of_the_api_that_asks_for_no_account_is_a_mismatch_and_not_untested(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Nobody's call ends in an error behind the open door, which must not look like a test that was not made."""
    sync_roles()
    monkeypatch.setattr(BundleList, "permission_classes", ())
    told = matrix(named("api/v1/bundles/"))
    open_to = {cell.persona for cell in told.faults if cell.method == "GET"}
    assert open_to == {"anonymous", "not staff", "inactive"}
    assert {cell.verdict for cell in told.faults if cell.method == "GET"} == {Verdict.MISMATCH}


@pytest.mark.django_db
def test_without_the_roles_nothing_is_tested() -> None:
    Group.objects.all().delete()
    with pytest.raises(Exception, match=r"run `manage.py sync_roles` first"):
        matrix(named("healthz"))
