"""Who may see and change what, and how a refusal reads."""

import re
from typing import Any

import pytest
from django.contrib import admin
from django.contrib.auth.models import Group, User
from django.core.exceptions import ValidationError
from django.test import Client
from django.urls import reverse

from console.access import Permission
from console.demonstration import create_demonstration_users
from console.navigation import SECTIONS
from console.rbac.routes import SAMPLES, routes
from console.roles import PERMISSIONS_BY_ROLE, Role, sync_roles
from evidence.audit import Act, Actor, record
from evidence.models import Artifact, AuditEntry, PromiseIncident, Publication, Seal
from ingestion.models import (
    Batch,
    DeadLetter,
    Event,
    Lane,
    LaneIncident,
    Provider,
    QuarantinedEvent,
    SuppressedDuplicate,
)
from tests.console.rows import (
    artifact_row,
    batch_row,
    dead_letter_row,
    duplicate_row,
    event_row,
    promise_row,
    provider_row,
    publication_row,
    quarantined_row,
    seal_row,
)

pytestmark = pytest.mark.django_db

READ_ONLY = (
    Event,
    DeadLetter,
    SuppressedDuplicate,
    QuarantinedEvent,
    Batch,
    Lane,
    LaneIncident,
    AuditEntry,
    Artifact,
    Publication,
    Seal,
    PromiseIncident,
)


def one_row_each() -> dict[type, Any]:
    event = event_row()
    return {
        Event: event,
        DeadLetter: dead_letter_row(),
        SuppressedDuplicate: duplicate_row(event),
        QuarantinedEvent: quarantined_row(event),
        Batch: batch_row(),
        Lane: Lane.objects.create(number=1),
        LaneIncident: LaneIncident.objects.create(lane=1, kind="gap", epoch=1, first_sequence=1, last_sequence=2),
        Provider: provider_row(),
        User: User.objects.create_user("subject"),
        Group: Group.objects.create(name="subject"),
        Artifact: artifact_row(),
        Seal: seal_row(),
        AuditEntry: record(Act.PROVIDER_ADDED, actor=Actor.process("test"), subject="provider acme"),
        Publication: publication_row(),
        PromiseIncident: promise_row(event),
    }


def page(model: Any, name: str, *arguments: Any) -> str:
    return reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_{name}", args=arguments)


def every_page() -> list[str]:
    rows = one_row_each()
    lists = [page(model, name) for model in rows for name in ("changelist", "add")]
    details = [page(model, name, row.pk) for model, row in rows.items() for name in ("change", "delete", "history")]
    names = ("index", "overview_figures", "log", "evidence_auditentry_verify", "receipts")
    more = [reverse(f"admin:{name}") for name in names]
    more.append(reverse("admin:receipt_proof", args=[rows[Event].pk]))
    return [*more, *lists, *details]


def test_a_staff_user_without_permissions_is_refused_on_every_page(signed_in: Any) -> None:
    client = signed_in()
    pages = every_page()
    assert {url: client.get(url).status_code for url in pages} == dict.fromkeys(pages, 403)


def test_the_tests_cover_every_model_of_the_site() -> None:
    assert set(admin.site._registry) == set(one_row_each())


def test_an_anonymous_visitor_is_sent_to_the_login_from_every_page(client: Client) -> None:
    for url in every_page():
        response = client.get(url)
        assert response.status_code == 302
        assert response["Location"].startswith(reverse("admin:login")), url


def test_a_signed_in_user_who_is_no_staff_gets_no_page(signed_in: Any) -> None:
    client = signed_in(staff=False)
    assert {client.get(url).status_code for url in every_page()} == {302}


@pytest.mark.parametrize("superuser", [True, False])
def test_nobody_adds_changes_or_deletes_what_the_pipeline_wrote(signed_in: Any, superuser: bool) -> None:
    rows = one_row_each()
    client = signed_in(None if superuser else Role.PLATFORM_OPS, superuser=superuser)
    for model in READ_ONLY:
        pk = rows[model].pk
        assert client.get(page(model, "change", pk)).status_code == 200
        assert client.post(page(model, "change", pk), {}).status_code == 403
        assert client.post(page(model, "delete", pk), {"post": "yes"}).status_code == 403
        assert client.post(page(model, "add"), {}).status_code == 403
        action = {"action": "delete_selected", "_selected_action": [str(pk)], "post": "yes"}
        client.post(page(model, "changelist"), action)
        assert model._default_manager.filter(pk=pk).exists()


@pytest.mark.parametrize("role", list(Role))
def test_a_role_opens_exactly_the_pages_of_its_permissions(signed_in: Any, role: Role) -> None:
    client = signed_in(role)
    for section in SECTIONS:
        for item in section.items:
            expected = 200 if item.permission in PERMISSIONS_BY_ROLE[role] else 403
            assert client.get(reverse(item.url_name)).status_code == expected, item.title


def test_the_sidebar_names_each_page_once() -> None:
    names = [item.url_name for section in SECTIONS for item in section.items]
    assert len(names) == len(set(names))


def test_the_sidebar_offers_nothing_that_would_be_refused(signed_in: Any) -> None:
    client = signed_in(Role.LEADERSHIP)
    drawn = client.get(reverse("admin:index")).context["sidebar_navigation"]
    links = [str(item["link"]) for group in drawn for item in group["items"]]
    assert links
    assert {client.get(link).status_code for link in links} == {200}
    assert reverse("admin:ingestion_event_changelist") not in links


def test_a_refusal_names_the_missing_permission_and_the_roles_that_have_it(signed_in: Any) -> None:
    client = signed_in(Role.LEADERSHIP)
    text = client.get(reverse("admin:ingestion_event_changelist")).content.decode()
    assert Permission.EVENT_READ in text
    assert "DRI" in text
    text = signed_in().get(reverse("admin:index")).content.decode()
    assert Permission.OVERVIEW_READ in text


def test_users_and_groups_are_changed_by_superusers_only_whatever_permissions_say(person: Any) -> None:
    from django.contrib.auth.models import Permission as Stored

    user = person(Role.AUDITOR)
    user.user_permissions.add(*Stored.objects.filter(content_type__app_label="auth"))
    client = Client()
    client.force_login(user, backend="django.contrib.auth.backends.ModelBackend")
    change = page(User, "change", user.pk)
    assert client.get(change).status_code == 200
    assert client.post(change, {"username": user.username, "is_superuser": "on"}).status_code == 403
    assert client.post(page(User, "add"), {}).status_code == 403
    assert client.get(reverse("admin:auth_user_password_change", args=[user.pk])).status_code == 403
    assert not User.objects.get(pk=user.pk).is_superuser


def test_roles_get_exactly_their_permissions_and_other_groups_are_left_alone() -> None:
    sync_roles()
    dri = Group.objects.get(name="DRI")
    other = Group.objects.create(name="Somebody else's")
    surplus = dri.permissions.first()
    assert surplus is not None
    other.permissions.add(surplus)
    dri.permissions.set([])
    auditor = Group.objects.get(name="Auditor")
    auditor.permissions.add(*Group.objects.get(name="Platform Ops").permissions.all())
    again = {synced.role: synced for synced in sync_roles()}
    assert again[Role.DRI].added_count == len(PERMISSIONS_BY_ROLE[Role.DRI])
    surplus_count = len(PERMISSIONS_BY_ROLE[Role.PLATFORM_OPS] - PERMISSIONS_BY_ROLE[Role.AUDITOR])
    assert again[Role.AUDITOR].removed_count == surplus_count
    assert {s.added_count + s.removed_count for s in sync_roles()} == {0}
    assert list(other.permissions.all()) == [surplus]
    user = User.objects.create_user("u")
    user.groups.add(auditor)
    assert user.get_group_permissions() == {permission.value for permission in PERMISSIONS_BY_ROLE[Role.AUDITOR]}


def test_demonstration_users_are_made_once_with_passwords_that_work_and_are_not_stored(client: Client) -> None:
    User.objects.create_user("dri", password="kept-as-it-was")
    made = create_demonstration_users()
    assert {user.username for user in made} == {"admin", "ops", "leadership", "auditor"}
    for user in made:
        assert client.login(username=user.username, password=user.password)
        assert user.password not in repr(user)
        assert user.password not in User.objects.get(username=user.username).password
    assert User.objects.get(username="dri").check_password("kept-as-it-was")
    assert create_demonstration_users() == []


def test_a_generated_password_passes_the_password_policy() -> None:
    from django.contrib.auth.password_validation import validate_password

    for user in create_demonstration_users():
        try:
            validate_password(user.password, User.objects.get(username=user.username))
        except ValidationError as error:
            pytest.fail(f"{user.username}: {error}")


@pytest.mark.parametrize(
    ("page_address", "back"),
    [
        ("http://testserver/admin/?last=1h", "/admin/?last=1h"),
        ("https://evil.example/admin/ingestion/event/?q=x", "/admin/ingestion/event/?q=x"),
        ("//evil.example", "/admin/"),
        ("http://x//evil.example/", "/admin/"),
        ("", "/admin/"),
    ],
)
def test_a_poll_after_the_session_ended_goes_to_the_login_and_never_to_another_host(
    client: Client, page_address: str, back: str
) -> None:
    from urllib.parse import parse_qs, urlsplit

    headers = {"HX-Request": "true", "HX-Current-URL": page_address}
    response = client.get(reverse("admin:overview_figures"), headers=headers)
    assert response.status_code == 401
    target = urlsplit(response["HX-Redirect"])
    assert (target.netloc, target.path) == ("", reverse("admin:login"))
    assert parse_qs(target.query)["next"] == [back]


def test_the_palette_forgets_a_permission_that_was_taken_away(person: Any) -> None:
    event = event_row()
    user = person(Role.DRI)
    client = Client()
    client.force_login(user, backend="django.contrib.auth.backends.ModelBackend")
    asked = {"s": str(event.pk)}
    assert str(event.pk) in client.get(reverse("admin:search"), asked).content.decode()
    user.groups.clear()
    assert str(event.pk) not in client.get(reverse("admin:search"), asked).content.decode()


def test_the_csp_header_is_exactly_the_recipe(signed_in: Any) -> None:
    policy = signed_in(Role.DRI).get(reverse("admin:index"))["Content-Security-Policy"]
    assert dict(part.strip().split(" ", 1) for part in policy.split(";")) == {
        **dict.fromkeys(
            ["default-src", "script-src", "font-src", "connect-src", "base-uri", "form-action", "frame-src"], "'self'"
        ),
        "frame-ancestors": "'self'",
        "img-src": "'self' data:",
        "style-src": "'self' 'unsafe-inline'",
        "object-src": "'none'",
    }


@pytest.mark.parametrize("given", ["%00", "0%00", "%EF%BF%BF", "'", "0" * 400, "..%2F.."])
def test_an_address_of_no_row_is_never_a_fault(signed_in: Any, given: str) -> None:
    client = signed_in(None, superuser=True)
    open_to_any = [each.path for each in routes() if re.search(r"<(str|path):", each.path) and not each.act]
    assert len(open_to_any) > 30
    for path in open_to_any:
        address = re.sub(r"<(?:str|path):\w+>", given, path)
        address = re.sub(r"<(?:\w+:)?(\w+)>", lambda found: SAMPLES[found[1]], address)
        assert client.get(f"/{address}").status_code < 500, address
