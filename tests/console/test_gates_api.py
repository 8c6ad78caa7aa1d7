"""Gates and mode for programs, which read and never decide."""

from __future__ import annotations

import pytest
from django.test import Client

from console.service_tokens.scopes import Scope
from evidence.models import AuditEntry, Decision
from tests.console.test_evidence_api import bearer, token
from tests.support.gates import frozen_gate

pytestmark = pytest.mark.django_db(transaction=True)
DECISIONS = "/api/v1/gates/a/decisions"


def test_a_program_reads_how_gates_and_mode_stand() -> None:
    frozen_gate()
    client = bearer(token(Scope.EVIDENCE_READ))
    gates = client.get("/api/v1/gates/").json()["gates"]
    assert {each["gate"] for each in gates} == {"a", "smoke"}
    one = client.get("/api/v1/gates/a").json()
    assert one["frozen"]["version"] == one["version"]
    assert client.get("/api/v1/mode").json()["mode"] == "OBSERVER"
    assert client.get("/api/v1/gates/nothing").status_code == 404


def test_nobody_reads_without_an_account_or_the_scope() -> None:
    for address in ("/api/v1/gates/", "/api/v1/gates/a", "/api/v1/mode"):
        assert Client().get(address).status_code == 401
        assert bearer(token(Scope.EVIDENCE_WRITE, name=f"ci{len(address)}")).get(address).status_code == 403


def test_a_program_never_decides_and_its_try_is_on_record() -> None:
    frozen_gate()
    client = bearer(token(Scope.EVIDENCE_READ, Scope.EVIDENCE_WRITE, name="pipeline"))
    answer = client.post(DECISIONS, {"kind": "GO"}, content_type="application/json")
    assert (answer.status_code, answer.json()["code"]) == (403, "service_accounts_never_decide")
    assert not Decision.objects.exists()
    refused = AuditEntry.objects.filter(act="permission.refused", actor="pipeline").latest("number")
    assert refused.facts == {"permission": "evidence.decide_gate"}
    assert (refused.actor_kind, refused.subject) == ("token", "gate a")
    assert Client().post(DECISIONS).status_code == 401
