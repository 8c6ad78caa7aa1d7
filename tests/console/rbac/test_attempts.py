"""Further attempts to get at more than one holds: lookups, formats, spellings, other methods, forms sent twice.

docs/rbac.md lists every attempt that is a test, and the list is held here.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path

import pytest
from allauth.mfa.models import Authenticator
from django.conf import settings
from django.contrib import admin
from django.contrib.auth.models import Group, User
from django.db.models import Model
from django.test import Client
from django.urls import reverse
from guardian.shortcuts import assign_perm

from console.access import Permission
from console.actions import service_tokens
from console.models import ConsoleSession, ServiceToken
from console.roles import Role
from console.service_tokens.scopes import Scope
from evidence.audit import Act, Actor
from evidence.models import AuditEntry, Destination
from ingestion.models import Provider, ProviderSecret
from tests.console.letters import mended
from tests.console.rows import dead_letter_row, provider_row

pytestmark = pytest.mark.django_db
MODEL_BACKEND = "django.contrib.auth.backends.ModelBackend"
TESTS = Path(__file__).resolve().parents[1]
type SignedIn = Callable[..., Client]
type Person = Callable[..., User]

SECRETS: dict[type[Model], str] = {
    User: "password",
    Authenticator: "data",
    ConsoleSession: "session_key",
    ServiceToken: "secret_sha256",
    ProviderSecret: "ciphertext",
    Destination: "secret_ciphertext",
}


def held_by(user: User) -> set[str]:
    return set(User.objects.get(pk=user.pk).get_all_permissions())


# lookups of the admin's lists


def lookups(model: type[Model], *, depth_count: int = 3) -> Iterator[str]:
    """Of secrets: the model's own, and those that its relations lead to."""
    if model in SECRETS:
        yield SECRETS[model]
    if depth_count:
        for field in model._meta.get_fields():
            if field.is_relation and isinstance(field.related_model, type):
                yield from (
                    f"{field.name}__{path}" for path in lookups(field.related_model, depth_count=depth_count - 1)
                )


def test_no_lists_parameters_ask_a_secret_letter_by_letter(signed_in: SignedIn) -> None:
    client = signed_in(superuser=True)
    asked = []
    for model in admin.site._registry:
        page = reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_changelist")
        for path in lookups(model):
            asked.append(path)
            answer = client.get(page, {f"{path}__startswith": "p"})
            assert answer.status_code in (302, 400), f"{page}?{path}"
    assert {"password", "secrets__ciphertext"} <= set(asked)
    assert [path for path in asked if path.count("__") > 1], "by more than one relation too"


def test_no_parameter_of_djangos_own_shows_a_secret_or_opens_a_list(signed_in: SignedIn) -> None:
    victim = User.objects.create_user("victim", password="a secret of the victim")
    pages = [reverse("admin:auth_user_changelist"), reverse("admin:auth_user_change", args=[victim.pk])]
    auditor, other = signed_in(Role.AUDITOR), signed_in(Role.LEADERSHIP)
    for parameter in ("_to_field", "_popup", "o", "ot", "e", "all", "_facets"):
        for page in pages:
            assert other.get(page, {parameter: "1"}).status_code in (400, 403)
            for value in ("password", "1"):
                shown = auditor.get(page, {parameter: value}, follow=True).content.decode()
                assert victim.password not in shown
    by_field = reverse("admin:auth_user_change", args=[victim.password])
    assert auditor.get(by_field, {"_to_field": "password"}).status_code == 400


def test_autocompletes_history_and_the_catalogue_tell_nothing_of_a_model_that_is_closed(signed_in: SignedIn) -> None:
    victim, client = User.objects.create_user("victim"), signed_in()
    fields = (("guardian", "userobjectpermission", "user"), ("console", "servicetoken", "token_id"))
    for app_label, model_name, field_name in (*fields, ("admin", "logentry", "user"), ("auth", "user", "groups")):
        asked = {"app_label": app_label, "model_name": model_name, "field_name": field_name, "term": "v"}
        assert client.get(reverse("admin:autocomplete"), asked).status_code == 403
    assert client.get(reverse("admin:auth_user_history", args=[victim.pk])).status_code == 403
    assert "victim" not in client.get(reverse("admin:jsi18n")).content.decode()


# where a sign-in leads


def test_a_sign_in_leads_to_no_other_site() -> None:
    User.objects.create_user("ann", password="a password of twelve", is_staff=True)
    for wanted in (
        "https://evil.example/",
        "//evil.example/",
        "/\\evil.example/",
        "http:///evil",
    ):
        client, form = Client(), {"username": "ann", "password": "a password of twelve", "next": wanted}
        assert client.post(f"{reverse('admin:login')}?next={wanted}", form)["Location"] == "/admin/"
        assert "evil" not in client.get(reverse("admin:login"), {"next": wanted}).get("Location", "")
        assert "evil" not in client.post(reverse("admin:logout"), {"next": wanted}).get("Location", "")


# rights and rows


def test_a_choice_of_rows_of_which_one_is_not_ones_own_changes_none(person: Person) -> None:
    user, mine, hidden = person(), provider_row("acme"), provider_row("globex")
    for permission in (Permission.PROVIDER_READ, Permission.PROVIDER_CHANGE):
        assign_perm(permission, user, mine)
    client = Client()
    client.force_login(user, backend=MODEL_BACKEND)
    for more in ({}, {"select_across": "1"}, {"index": "0"}):
        form = {"action": "disable", "_selected_action": [str(mine.pk), str(hidden.pk)], **more}
        assert client.post(reverse("admin:ingestion_provider_changelist"), form).status_code == 403
    assert list(Provider.objects.values_list("enabled", flat=True)) == [True, True]


def test_a_provider_form_gives_no_right_role_or_row_by_further_fields(person: Person) -> None:
    user, acme = person(), provider_row("acme")
    for permission in (Permission.PROVIDER_READ, Permission.PROVIDER_CHANGE):
        assign_perm(permission, user, acme)
    client, before = Client(), held_by(user)
    client.force_login(user, backend=MODEL_BACKEND)
    role = str(Group.objects.get(name=Role.DRI.value).pk)
    more = {"groups": role, "user_permissions": "1", "permissions": "1", "is_superuser": "on", "_saveasnew": "1"}
    grants = {"providergrant_set-TOTAL_FORMS": "1", "providergrant_set-0-user": str(user.pk)}
    form = {"scheme": acme.scheme, "options": "{}", "enabled": "on", **more, **grants}
    client.post(reverse("admin:ingestion_provider_change", args=[acme.pk]), form)
    assert held_by(user) == before
    assert not User.objects.get(pk=user.pk).is_superuser
    assert Provider.objects.count() == 1


# programs


def issued(*scopes: Scope) -> str:
    life, now = timedelta(days=1), datetime.now(UTC)
    shell = Actor.command_line("t")
    return service_tokens.create(actor=shell, name="ci", scopes=scopes, life=life, now=now).text


def test_a_token_beside_the_session_of_somebody_who_may_more_is_the_token_alone(signed_in: SignedIn) -> None:
    client = signed_in(Role.DRI)
    narrow = {"Authorization": f"Bearer {issued(Scope.AUDIT_READ)}"}
    assert client.get("/api/v1/gates/").status_code == 200
    assert client.get("/api/v1/gates/", headers=narrow).status_code == 403
    assert client.post("/api/v1/dead-letters/retry", headers=narrow).status_code == 403
    assert client.get("/api/v1/audit/", headers=narrow).status_code == 200


def test_whoever_was_locked_out_acts_by_no_session_and_their_token_stays_a_program_until_it_is_revoked(
    person: Person, signed_in: SignedIn
) -> None:
    """A token is its program's: a pipeline does not stop because somebody left. Who made it is on record."""
    maker, client = person(Role.PLATFORM_OPS), Client()
    client.force_login(maker, backend=MODEL_BACKEND)
    page, form = reverse("admin:service_tokens"), {"act": "issue", "name": "ci", "scope": "audit:read", "days": "1"}
    text = client.post(page, form).context["value"]
    User.objects.filter(pk=maker.pk).update(is_active=False)
    assert client.post(page, {**form, "name": "second"}).status_code == 302
    program = Client(headers={"Authorization": f"Bearer {text}"})
    assert [program.get(f"/api/v1/{address}/").status_code for address in ("audit", "gates")] == [200, 403]
    assert program.get(page).status_code == 302
    assert ServiceToken.objects.get().created_by == maker.username
    service_tokens.revoke(actor=Actor.command_line("t"), name="ci", now=datetime.now(UTC))
    assert program.get("/api/v1/audit/").status_code == 401


# other ways of asking for the same


def test_the_api_takes_the_method_from_the_request_line_alone(signed_in: SignedIn) -> None:
    client, letter = signed_in(Role.DRI), dead_letter_row()
    body = {"event_ids": [str(letter.pk)], "reason": "mine", "_method": "POST", "_content_type": "application/json"}
    retry = "/api/v1/dead-letters/retry"
    for header in ("X-HTTP-Method-Override", "X-Method-Override", "X-HTTP-Method"):
        assert client.get(retry, headers={header: "POST"}).status_code == 405
        assert client.post(retry, body, headers={header: "POST"}).status_code == 415, "a form is no call"
        assert client.post("/api/v1/gates/", body, "application/json", headers={header: "GET"}).status_code == 405
        assert client.get("/api/v1/gates/", {"_method": "DELETE"}, headers={header: "DELETE"}).status_code == 400
    letter.refresh_from_db()
    assert letter.state == "open"


FORMATS = ("/admin/log.json", "/admin/log/.json", "/admin/log/?format=json", "/admin/rbac/?_format=csv")
OF_THE_API = (
    *("/api/v1/gates.json", "/api/v1/gates/.json", "/api/v1/gates/a.json", "/api/v1/gates/?format=api"),
    *("/api/v1/gates", "/api/v1/gates//", "/api/v1/gates/a/", "/api/v1/mode/", "/api/v1/audit", "/api//v1/audit/"),
    *("/evidence", "/evidence/?format=api", "/evidence/.json"),
    *("/API/v1/gates/", "/api/v1/%67ates/", "/api/v1/./gates/", "/api/v1/x/../gates/", "/api/v1/gates/;a=1"),
)


def test_no_suffix_format_or_slash_opens_what_is_closed(signed_in: SignedIn) -> None:
    for client in (Client(), signed_in()):
        for path in (*FORMATS, *OF_THE_API):
            answer = client.get(path)
            if answer.status_code == 301:
                answer = client.get(answer["Location"])
            assert answer.status_code in (302, 401, 403, 404), path


def test_no_other_method_does_what_a_form_does_nor_echoes_the_request(signed_in: SignedIn) -> None:
    client, letter = signed_in(Role.DRI), mended()
    before = AuditEntry.objects.count()
    for page in ("ingestion_deadletter_retry", "ingestion_deadletter_discard", "bundles", "mode"):
        query = f"?pick={letter.pk}&reason=mine&mode=OBSERVER&foreseen={letter.pk}:back"
        for method in ("get", "head", "options", "trace", "put", "patch", "delete"):
            answer = getattr(client, method)(f"{reverse(f'admin:{page}')}{query}", headers={"X-Echo": "echoed-header"})
            assert b"echoed-header" not in answer.content
    letter.refresh_from_db()
    assert (letter.state, AuditEntry.objects.count()) == ("open", before)


def test_djangos_queue_pages_are_not_there_under_any_of_their_addresses(signed_in: SignedIn) -> None:
    """They requeue, delete, and show jobs by the name of any function."""
    client = signed_in(superuser=True)
    for prefix in ("/django-rq/", "/rq/", "/admin/django-rq/", "/admin/django_rq/", "/admin/django_rq/queue/"):
        for page in ("", "stats.json", "queues/0/", "queues/0/empty/", "queues/0/x/requeue/", "queues/0/x/enqueue/"):
            for answer in (client.get(prefix + page), client.post(prefix + page, {"func": "os.system"})):
                assert answer.status_code == 404, prefix + page


def test_a_form_that_is_sent_twice_acts_once(signed_in: SignedIn) -> None:
    client = signed_in(superuser=True)
    form = {"act": "issue", "name": "ci", "scope": "audit:read", "days": "1"}
    added = {"name": "acme", "scheme": "stripe", "options": "{}", "secret": "whsec_" + "QUJD" * 8, "enabled": "on"}
    for _ in range(2):
        client.post(reverse("admin:service_tokens"), form)
        client.post(reverse("admin:ingestion_provider_add"), added)
    assert ServiceToken.objects.count() == 1
    assert Provider.objects.filter(name="acme").count() == 1
    assert AuditEntry.objects.filter(act=Act.PROVIDER_ADDED.value, subject="provider acme").count() == 1


# the list


def test_the_page_lists_each_attempt_with_a_test_that_there_is_and_leaves_none_out() -> None:
    text = (Path(settings.BASE_DIR) / "docs" / "rbac.md").read_text(encoding="utf-8")
    listed = re.findall(r"`([\w./]+\.py)` `(test_\w+)`", text)
    assert [pair for pair in listed if pair[1] not in names_in(TESTS / pair[0])] == []
    here = {(f"rbac/{name}", test) for name in ("test_attempts.py", "test_escalation.py") for test in own(name)}
    assert here - set(listed) == set()
    assert len(set(listed)) == len(listed)


def own(name: str) -> set[str]:
    return {test for test in names_in(Path(__file__).with_name(name)) if "the_page_lists_each_attempt" not in test}


@cache
def names_in(path: Path) -> set[str]:
    found = ast.walk(ast.parse(path.read_text(encoding="utf-8")))
    return {node.name for node in found if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")}
