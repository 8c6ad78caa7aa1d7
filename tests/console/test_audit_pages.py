"""The audit log in the console: read, filtered, verified, never changed."""

from __future__ import annotations

import re
from typing import Any

import pytest
from django.db import connection
from django.urls import reverse

from console.roles import Role
from evidence.audit import Act, Actor, record
from evidence.models import AuditEntry

pytestmark = pytest.mark.django_db

LIST = "admin:evidence_auditentry_changelist"


@pytest.fixture
def entries() -> list[AuditEntry]:
    """Of a sender of strange texts."""
    acts = ((Act.PROVIDER_ADDED, "provider acme"), (Act.SECRET_ROTATED, "provider acme"), (Act.PROVIDER_ADDED, "<b>x"))
    return [
        record(act, actor=Actor.process("pages"), subject=subject, reason="because", facts={"scheme": "generic"})
        for act, subject in acts
    ]


def listed(client: Any, **parameters: str) -> list[int]:
    answer = client.get(reverse(LIST), parameters)
    assert answer.status_code == 200, parameters
    return [row.number for row in answer.context["cl"].result_list if row.actor == "pages"]


def test_the_list_is_found_by_act_actor_subject_and_number(signed_in: Any, entries: list[AuditEntry]) -> None:
    client = signed_in(Role.AUDITOR)
    first, second, third = (entry.number for entry in entries)
    assert listed(client) == [third, second, first]
    assert listed(client, act="provider.added") == [third, first]
    assert listed(client, actor_kind="process") == [third, second, first]
    assert listed(client, actor_kind="person") == []
    assert listed(client, q='subject:"provider acme"') == [second, first]
    assert listed(client, q='subject:"provider acme" act:secret.rotated') == [second]
    assert listed(client, q="actor:pages") == [third, second, first]
    assert listed(client, q=str(second)) == [second]
    for wrong in ("9" * 40, "nonsense", "id:0123456789abcdef0123456789abcdef", "act:", "٣"):
        assert listed(client, q=wrong) == []
    assert listed(client, before=str(second)) == [first]


def test_an_entry_shows_its_facts_and_both_digests_and_escapes_texts(signed_in: Any, entries: list[AuditEntry]) -> None:
    page = signed_in(Role.LEADERSHIP).get(reverse("admin:evidence_auditentry_change", args=[entries[2].pk]))
    text = page.content.decode()
    for told in (entries[2].entry_sha256.hex(), entries[1].entry_sha256.hex(), "because", "generic", "&lt;b&gt;x"):
        assert told in text
    assert "<b>x" not in text


@pytest.mark.parametrize("role", list(Role))
def test_each_role_may_verify_and_sees_head_and_protections(signed_in: Any, role: Role) -> None:
    client = signed_in(role)
    assert reverse("admin:evidence_auditentry_verify") in client.get(reverse(LIST)).content.decode()
    page = client.get(reverse("admin:evidence_auditentry_verify"))
    text = page.content.decode()
    newest = AuditEntry.objects.latest("number")
    assert "PASS: each of" in text
    assert f"{newest.number}:{bytes(newest.entry_sha256).hex()}" in text
    assert len(re.findall(r"<td>yes</td>", text)) >= 6
    assert "<strong>NO</strong>" not in text


def test_a_changed_log_and_a_missing_trigger_are_shown(signed_in: Any, entries: list[AuditEntry]) -> None:
    client = signed_in(Role.AUDITOR)
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE evidence_auditentry DISABLE TRIGGER audit_entry_stays")
        cursor.execute("UPDATE evidence_auditentry SET reason = '' WHERE number = %s", [entries[1].number])
    text = client.get(reverse("admin:evidence_auditentry_verify")).content.decode()
    assert "FAIL: 1 finding in" in text
    assert f"entry {entries[1].number} was changed" in text
    assert text.count("<strong>NO</strong>") == 1


def test_a_log_too_long_for_a_page_is_inconclusive_and_never_green(
    signed_in: Any, entries: list[AuditEntry], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("console.admin.audit.VERIFIED_LIMIT_COUNT", 2)
    text = signed_in(Role.AUDITOR).get(reverse("admin:evidence_auditentry_verify")).content.decode()
    assert "INCONCLUSIVE: a page verifies at most 2 entries" in text
    assert "PASS" not in text


def test_verifying_is_no_change_by_any_method(signed_in: Any) -> None:
    assert signed_in(Role.AUDITOR).post(reverse("admin:evidence_auditentry_verify")).status_code == 405
