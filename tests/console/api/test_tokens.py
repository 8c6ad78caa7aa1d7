"""Service tokens: rotated with an overlap, revoked whole, handed out by nobody who holds less, seen on their page."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.db import IntegrityError
from django.test import Client

from console.actions import service_tokens
from console.models import ServiceToken
from console.roles import PERMISSIONS_BY_ROLE, Role
from console.service_tokens.errors import TokenSettingWrong
from console.service_tokens.make import make_token
from console.service_tokens.scopes import OPENS, PERMISSIONS_BY_SCOPE, Scope
from evidence.models import AuditEntry
from tests.console.api.kit import SHELL, token
from tests.console.test_evidence_pages import run

pytestmark = pytest.mark.django_db
PAGE = "/admin/tokens/"
MODE = "/api/v1/mode"


def opens(text: str) -> bool:
    return Client(headers={"Authorization": f"Bearer {text}"}).get(MODE).status_code == 200


def rotated(name: str = "ci", *, overlap: timedelta = timedelta(hours=24), age: timedelta = timedelta(0)) -> str:
    made = service_tokens.rotate(
        actor=SHELL, name=name, overlap=overlap, life=timedelta(days=1), now=datetime.now(UTC) - age
    )
    return made.text


def test_after_a_rotation_both_secrets_are_good_until_the_overlap_ends() -> None:
    old = token(Scope.EVIDENCE_READ)
    new = rotated(overlap=timedelta(hours=2))
    assert (opens(old), opens(new)) == (True, True)
    before, after = ServiceToken.objects.order_by("created_at")
    assert before.expires_at - before.replaced_at == timedelta(hours=2)  # type: ignore[operator]
    assert (after.name, after.scopes, after.replaced_at) == ("ci", ["evidence:read"], None)
    ServiceToken.objects.filter(pk=before.pk).update(expires_at=datetime.now(UTC))
    assert (opens(old), opens(new)) == (False, True)


def test_an_overlap_of_nothing_ends_the_old_secret_at_once() -> None:
    old = token(Scope.EVIDENCE_READ)
    new = rotated(overlap=timedelta(0))
    assert (opens(old), opens(new)) == (False, True)


def test_no_overlap_makes_an_old_secret_last_longer_than_it_would_have() -> None:
    token(Scope.EVIDENCE_READ)
    ends_at = ServiceToken.objects.get().expires_at
    rotated(overlap=timedelta(days=7))
    assert ServiceToken.objects.get(replaced_at__isnull=False).expires_at == ends_at


def test_a_revocation_ends_every_secret_of_the_name() -> None:
    old, new = token(Scope.EVIDENCE_READ), ""
    new = rotated()
    assert service_tokens.revoke(actor=SHELL, name="ci", now=datetime.now(UTC)) is not None
    assert (opens(old), opens(new)) == (False, False)
    with pytest.raises(TokenSettingWrong, match="stays so"):
        rotated()


@pytest.mark.parametrize("overlap", [timedelta(days=8), timedelta(hours=-1)])
def test_an_overlap_beyond_a_week_or_below_nothing_is_refused(overlap: timedelta) -> None:
    token(Scope.EVIDENCE_READ)
    with pytest.raises(TokenSettingWrong, match="up to 7 days"):
        rotated(overlap=overlap)
    assert ServiceToken.objects.count() == 1


def test_the_database_keeps_one_newest_secret_for_a_name() -> None:
    made = make_token(
        name="a", scopes=[Scope.EVIDENCE_READ], life=timedelta(days=1), created_by="", now=datetime.now(UTC)
    )
    made.token.pk = "another"
    with pytest.raises(IntegrityError, match="service_token_newest_once"):
        made.token.save(force_insert=True)


def test_issue_rotate_and_revoke_are_entries_without_a_secret_and_the_list_tells_the_state() -> None:
    first = run("service_token", "create", "ci", "--scope", "audit:read")[1].splitlines()[-1]
    ended, told, _ = run("service_token", "rotate", "ci", "--overlap", "24h", "--for", "30d")
    second = told.splitlines()[-1]
    assert (ended, first != second, second[:5]) == (0, True, "acst_")
    listed = run("service_token", "list")[1] + run("service_token", "list", "--json")[1]
    assert "replaced" in listed
    run("service_token", "revoke", "ci")
    entries = list(AuditEntry.objects.filter(subject="service token ci").order_by("number"))
    assert [each.act for each in entries] == ["service_token.created", "service_token.rotated", "service_token.revoked"]
    assert entries[1].facts["overlap_seconds"] == 86_400
    kept = listed + str([each.__dict__ for each in entries])
    assert not [text for text in (first, second) if text.rpartition("_")[2] in kept]
    assert run("service_token", "rotate", "nobody")[0] == 2


# the page


def issue(client: Client, *scopes: str, name: str = "ci", days: str = "30") -> Any:
    return client.post(PAGE, {"act": "issue", "name": name, "scope": scopes, "days": days})


def test_platform_ops_issue_a_token_that_the_page_shows_once(signed_in: Any) -> None:
    client = signed_in(Role.PLATFORM_OPS)
    answer = issue(client, "evidence:read")
    text = answer.context["value"]
    assert text in answer.content.decode()
    assert "no-store" in answer["Cache-Control"]
    assert answer["Referrer-Policy"] == "no-referrer"
    assert opens(text)
    again = client.get(PAGE).content.decode()
    assert "ci" in again
    assert text.rpartition("_")[2] not in again
    entry = AuditEntry.objects.get(subject="service token ci")
    assert (entry.act, entry.actor) == ("service_token.created", "platform_ops")


def test_a_token_is_rotated_and_revoked_on_the_page(signed_in: Any) -> None:
    client = signed_in(Role.PLATFORM_OPS)
    first = issue(client, "evidence:read").context["value"]
    given = {"act": "rotate", "token": ServiceToken.objects.get().token_id, "overlap_hours": "1", "days": "5"}
    second = client.post(PAGE, given).context["value"]
    assert (opens(first), opens(second)) == (True, True)
    told = client.post(PAGE, given, follow=True)  # the same form again: a back button, a double click
    assert "rotated since" in told.content.decode()
    assert ServiceToken.objects.count() == 2
    client.post(PAGE, {"act": "revoke", "token": ServiceToken.objects.get(replaced_at=None).token_id})
    assert (opens(first), opens(second)) == (False, False)


@pytest.mark.parametrize(
    "given",
    [
        {"act": "issue", "name": "CI!", "scope": "evidence:read", "days": "30"},
        {"act": "issue", "name": "ci", "days": "30"},
        {"act": "issue", "name": "ci", "scope": "everything", "days": "30"},
        {"act": "issue", "name": "ci", "scope": "evidence:read", "days": "91"},
        {"act": "issue", "name": "ci", "scope": "evidence:read", "days": "many"},
        {"act": "rotate", "token": "nobody", "overlap_hours": "1", "days": "5"},
        {"act": "revoke", "token": "\x00"},
        {"act": "wish", "name": "ci"},
    ],
)
def test_a_form_that_does_not_fit_makes_nothing_and_says_why(signed_in: Any, given: dict[str, str]) -> None:
    answer = signed_in(Role.PLATFORM_OPS).post(PAGE, given, follow=True)
    assert [str(message) for message in answer.context["messages"]]
    assert not ServiceToken.objects.exists()


def test_an_auditor_sees_the_tokens_and_manages_none_and_others_see_nothing(signed_in: Any) -> None:
    token(Scope.EVIDENCE_READ, name="seen")
    auditor = signed_in(Role.AUDITOR)
    page = auditor.get(PAGE).content.decode()
    assert "seen" in page
    assert 'value="revoke"' not in page
    assert issue(auditor, "evidence:read").status_code == 403
    assert signed_in(Role.LEADERSHIP).get(PAGE).status_code == 403
    assert ServiceToken.objects.count() == 1


def test_nobody_hands_a_program_a_permission_that_they_do_not_hold(person: Any) -> None:
    from django.contrib.auth.models import Permission as Stored

    user = person(None)
    user.user_permissions.set(Stored.objects.filter(codename__in=["view_servicetoken", "manage_servicetoken"]))
    client = Client()
    client.force_login(user, backend="django.contrib.auth.backends.ModelBackend")
    assert issue(client, "letters:write").status_code == 403
    assert not ServiceToken.objects.exists()
    assert "service token ci with letters:write" in AuditEntry.objects.latest("number").subject


def test_platform_ops_hold_whatever_a_scope_stands_for() -> None:
    held = PERMISSIONS_BY_ROLE[Role.PLATFORM_OPS]
    assert [scope for scope, permissions in PERMISSIONS_BY_SCOPE.items() if not permissions <= held] == []


def test_the_document_says_of_each_scope_what_the_page_says() -> None:
    text = (Path(settings.BASE_DIR) / "docs" / "api.md").read_text()
    assert dict(re.findall(r"^\| \*\*([a-z:]+)\*\* \| (.+) \|$", text, re.MULTILINE)) == {
        scope.value: told for scope, told in OPENS.items()
    }
    assert set(OPENS) == set(Scope)
