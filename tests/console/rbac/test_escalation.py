"""Attempts to get at more than one holds: by object permissions, accounts, bulk actions, the API, other spellings."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest
from django.conf import settings
from django.contrib import admin
from django.contrib.auth.models import Group, User
from django.contrib.auth.models import Permission as Stored
from django.contrib.contenttypes.models import ContentType
from django.test import Client
from django.urls import get_resolver, reverse
from guardian.admin import GuardedModelAdminMixin
from guardian.shortcuts import assign_perm

from console.access import Permission
from console.actions import service_tokens
from console.models import ServiceToken
from console.rbac.routes import bulk_actions, routes
from console.roles import Role
from console.service_tokens.scopes import PERMISSIONS_BY_SCOPE, Scope
from evidence.audit import Act, Actor
from evidence.decisions import dri
from evidence.models import AuditEntry, DriTerm
from ingestion.models import Provider
from ingestion.providers.event_keys import recipient_key
from tests.console.rows import dead_letter_row, event_row, provider_row, quarantined_row
from tests.support.gates import approved_go, own_store
from tests.support.gates import person as gate_person

pytestmark = pytest.mark.django_db
MODEL_BACKEND = "django.contrib.auth.backends.ModelBackend"
type SignedIn = Callable[..., Client]
type Person = Callable[..., User]


def session_of(user: User) -> Client:
    client = Client()
    client.force_login(user, backend=MODEL_BACKEND)
    return client


def held(codename: str) -> Stored:
    return Stored.objects.get(codename=codename)


# object permissions


def test_no_page_gives_out_object_permissions_and_django_rq_has_no_pages() -> None:
    """Whoever may change a row could give themselves more there, as guardian's own admin class lets them."""
    kinds: list[type] = [type(each) for each in admin.site._registry.values()]
    assert not [kind for kind in kinds if GuardedModelAdminMixin in kind.__mro__]
    paths = [route.path for route in routes()]
    assert not [path for path in paths if "permission" in path or "rq" in path.lower().split("/")]
    assert not [name for name in get_resolver().reverse_dict if isinstance(name, str) and "permission" in name]


def test_whoever_may_change_a_provider_finds_no_page_to_give_themselves_more_of_it(person: Person) -> None:
    user, acme = person(), provider_row("acme")
    assign_perm(Permission.PROVIDER_READ, user, acme)
    assign_perm(Permission.PROVIDER_CHANGE, user, acme)
    client, before = session_of(user), user.get_all_permissions()
    for more in ("permissions/", f"permissions/user-manage/{user.pk}/"):
        answer = client.post(f"/admin/ingestion/provider/{acme.pk}/{more}", {"permissions": ["delete_provider"]})
        assert answer.status_code in (302, 403, 404)
    assert User.objects.get(pk=user.pk).get_all_permissions() == before
    assert not User.objects.get(pk=user.pk).has_perm("ingestion.delete_provider", acme)


# accounts


def test_nobody_but_a_superuser_makes_anybody_more_by_the_pages_of_users_and_groups(person: Person) -> None:
    user = person(Role.PLATFORM_OPS)
    user.user_permissions.add(*Stored.objects.filter(content_type__app_label__in=("auth", "guardian", "console")))
    client, dri_group = session_of(user), Group.objects.get(name=Role.DRI.value)
    form = {
        "username": user.username,
        "is_active": "on",
        "is_staff": "on",
        "is_superuser": "on",
        "groups": dri_group.pk,
    }
    me = reverse("admin:auth_user_change", args=[user.pk])
    assert client.get(me).status_code == 200, "it may see itself"
    everything = [str(each.pk) for each in Stored.objects.all()]
    attempts = [
        (me, form),
        (me, {**form, "_saveasnew": "1"}),
        (reverse("admin:auth_user_add"), {"username": "second", "usable_password": "false", "is_superuser": "on"}),
        (reverse("admin:auth_user_password_change", args=[user.pk]), {"password1": "x" * 20, "password2": "x" * 20}),
        (reverse("admin:auth_group_change", args=[dri_group.pk]), {"name": "DRI", "permissions": everything}),
        (reverse("admin:auth_group_add"), {"name": "mine", "permissions": everything}),
        (reverse("admin:auth_group_delete", args=[dri_group.pk]), {"post": "yes"}),
    ]
    before = set(dri_group.permissions.all())
    assert [client.post(address, sent).status_code for address, sent in attempts] == [403] * len(attempts)
    user = User.objects.get(pk=user.pk)
    assert (user.is_superuser, [group.name for group in user.groups.all()]) == (False, [Role.PLATFORM_OPS.value])
    assert set(dri_group.permissions.all()) == before
    assert not User.objects.filter(username="second").exists()
    assert not Group.objects.filter(name="mine").exists()


# bulk actions


def test_the_bulk_actions_are_these_and_each_names_its_permission() -> None:
    found = {
        (type(each).__name__, name): tuple(action.allowed_permissions)  # type: ignore[attr-defined]
        for each in admin.site._registry.values()
        for action, name, _ in bulk_actions(each)
    }
    assert found == {
        ("UserAdmin", "delete_selected"): ("delete",),
        ("GroupAdmin", "delete_selected"): ("delete",),
        ("ProviderAdmin", "delete_selected"): ("delete",),
        ("ProviderAdmin", "enable"): ("change",),
        ("ProviderAdmin", "disable"): ("change",),
    }


@pytest.mark.parametrize("role", [role for role in Role if role is not Role.PLATFORM_OPS])
def test_a_bulk_action_that_the_list_does_not_offer_does_nothing_when_it_is_posted(
    signed_in: SignedIn, role: Role
) -> None:
    acme, client = provider_row("acme"), signed_in(role)
    for action in ("disable", "delete_selected"):
        form = {"action": action, "_selected_action": [str(acme.pk)], "select_across": "1", "post": "yes"}
        client.post(reverse("admin:ingestion_provider_changelist"), form)
    acme.refresh_from_db()
    assert acme.enabled


def test_delete_selected_deletes_no_user_for_somebody_who_may_only_see_them(signed_in: SignedIn) -> None:
    victim, client = User.objects.create_user("victim"), signed_in(Role.AUDITOR)
    form = {"action": "delete_selected", "_selected_action": [str(victim.pk)], "post": "yes"}
    client.post(reverse("admin:auth_user_changelist"), form)
    assert User.objects.filter(pk=victim.pk).exists()


def test_letters_are_not_retried_or_discarded_in_bulk_by_whoever_may_only_read_them(signed_in: SignedIn) -> None:
    letter, client = dead_letter_row(), signed_in(Role.AUDITOR)
    for verb in ("retry", "discard"):
        for form in ({"pick": str(letter.pk)}, {"all": "1"}, {"foreseen": f"{letter.pk}:back", "reason": "mine"}):
            assert client.post(reverse(f"admin:ingestion_deadletter_{verb}"), form).status_code == 403
    letter.refresh_from_db()
    assert letter.state == "open"


# the API


def test_a_token_opens_no_page_and_a_scope_is_no_other_scope(tmp_path: Path) -> None:
    made = service_tokens.create(
        actor=Actor.command_line("t"), name="ci", scopes=[Scope.EVIDENCE_WRITE], life=timedelta(days=1), now=_now()
    )
    client = Client(headers={"Authorization": f"Bearer {made.text}"})
    assert client.get(reverse("admin:index")).status_code == 302
    assert client.post(reverse("admin:rbac")).status_code == 302
    with own_store(tmp_path):
        assert client.get("/evidence/").status_code == 403
        assert client.get("/api/v1/gates/").status_code == 403
        assert client.post("/api/v1/gates/a/decisions", {}, content_type="application/json").status_code == 403
        both = Client(headers={"Authorization": f"Bearer {made.text}, Bearer {made.text}"})
        assert both.get("/evidence/").status_code == 401


@pytest.mark.parametrize("scope", list(Scope))
def test_nobody_issues_or_rotates_a_token_that_may_what_they_may_not(person: Person, scope: Scope) -> None:
    shell, manages = Actor.command_line("t"), {Permission.TOKEN_READ, Permission.TOKEN_MANAGE}
    there = service_tokens.create(actor=shell, name="ci", scopes=[scope], life=timedelta(days=1), now=_now()).token
    user, page = person(), reverse("admin:service_tokens")
    issue = {"act": "issue", "name": "mine", "scope": scope.value, "days": "1"}
    rotate = {"act": "rotate", "token": there.pk, "days": "1", "overlap_hours": "1"}
    for missing in PERMISSIONS_BY_SCOPE[scope]:
        given = (manages | PERMISSIONS_BY_SCOPE[scope]) - {missing}
        user.user_permissions.set([held(permission.partition(".")[2]) for permission in given])
        client = session_of(user)
        assert [client.post(page, form).status_code for form in (issue, rotate)] == [403, 403]
        assert list(ServiceToken.objects.values_list("name", "replaced_at")) == [("ci", None)]
        refused = AuditEntry.objects.latest("number")
        assert (refused.act, refused.facts) == (Act.PERMISSION_REFUSED.value, {"permission": missing.value})
    user.user_permissions.add(*(held(permission.partition(".")[2]) for permission in PERMISSIONS_BY_SCOPE[scope]))
    assert [session_of(user).post(page, form).status_code for form in (issue, rotate)] == [200, 200]


def test_no_search_of_the_api_tells_a_program_whether_a_recipient_is_there(signed_in: SignedIn) -> None:
    """It holds no scope that reveals; a person who may reveal finds the same row."""
    made = service_tokens.create(
        actor=Actor.command_line("t"), name="ci", scopes=[Scope.EVENTS_READ], life=timedelta(days=1), now=_now()
    )
    program = Client(headers={"Authorization": f"Bearer {made.text}"})
    marked: dict[str, Any] = {"recipe": "sendgrid/1", "provider": "mail"}
    key = f"message-1:{recipient_key('ada.lovelace@example.com')}"
    event, letter = event_row(ordering_key=key, **marked), dead_letter_row(ordering_key=key, **marked)
    for address, many, row in (("events", "events", event), ("dead-letters", "dead_letters", letter)):
        found = [
            [each["event_id"] for each in client.get(f"/api/v1/{address}/", {"q": f"key:{key}"}).json()[many]]
            for client in (program, signed_in(Role.AUDITOR), signed_in(Role.DRI))
        ]
        assert found == [[], [], [str(row.pk)]]
        User.objects.filter(username__in=("auditor", "dri")).delete()


def test_a_session_beside_a_refused_token_is_no_way_in(signed_in: SignedIn) -> None:
    client = signed_in(Role.DRI)
    assert client.get("/evidence/").status_code == 200
    assert client.get("/evidence/", headers={"Authorization": "Bearer acst_0_0"}).status_code == 401
    assert client.get("/evidence/", headers={"Authorization": "Basic eDp5"}).status_code == 401


# other ways of asking for the same


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "DELETE"])
@pytest.mark.parametrize("header", ["X-HTTP-Method-Override", "X-Method-Override", "X-HTTP-Method"])
def test_a_header_that_names_another_method_changes_nothing(signed_in: SignedIn, header: str, method: str) -> None:
    client = signed_in(Role.AUDITOR)
    answer = client.get(reverse("admin:ingestion_deadletter_retry"), headers={header: method})
    assert answer.status_code == 403
    answer = client.post(reverse("admin:ingestion_deadletter_retry"), {"_method": method}, headers={header: "GET"})
    assert answer.status_code == 403
    assert client.post(reverse("admin:rbac"), {"_method": "GET"}, headers={header: method}).status_code == 403


def test_a_poll_is_asked_for_the_same_permission_as_the_page(signed_in: SignedIn, client: Client) -> None:
    as_poll = {"HX-Request": "true", "HX-Current-URL": "http://testserver/admin/"}
    for name in ("log", "rbac", "rbac_progress", "ingestion_event_changelist", "ingestion_provider_add"):
        assert signed_in_nobody(signed_in).get(reverse(f"admin:{name}"), headers=as_poll).status_code == 403
        assert client.get(reverse(f"admin:{name}"), headers=as_poll).status_code == 401


def signed_in_nobody(signed_in: SignedIn) -> Client:
    User.objects.filter(username="nobody").delete()
    return signed_in()


SPELLINGS = (
    "//admin/log/",
    "/admin//log/",
    "/admin/./log/",
    "/admin/x/../log/",
    "/admin/log/.",
    "/admin/log/;x=1",
    "/admin/log%2F",
    "/admin%2Flog/",
    "/admin/%6Cog/",
    "/admin/log/%00",
    "/admin/log%20/",
    "/ADMIN/LOG/",
    "/admin/log",
    "/evidence/../admin/log/",
    "/webhooks/../admin/log/",
)


@pytest.mark.parametrize("path", SPELLINGS)
@pytest.mark.parametrize("who", ["anonymous", "no role"])
def test_no_other_spelling_of_an_address_opens_what_is_closed(signed_in: SignedIn, path: str, who: str) -> None:
    client = Client() if who == "anonymous" else signed_in()
    answer = client.get(
        "/", PATH_INFO=unquote(path)
    )  # as a server hands it on, which the client's own parser would not
    assert answer.status_code in (301, 302, 401, 403, 404, 405)
    if answer.status_code == 301:  # a slash is added, or two are made one: the guard is asked there
        followed = client.get(answer["Location"])
        assert followed.status_code in (302, 401, 403, 404)


@pytest.mark.parametrize("name", ["ingestion_deadletter_retry", "rbac", "bundles", "gates"])
def test_arguments_of_the_address_are_no_permission(signed_in: SignedIn, name: str) -> None:
    query = {"permission": "1", "_popup": "1", "is_superuser": "1", "user": "root", "as": "root", "next": "/admin/"}
    assert signed_in().get(reverse(f"admin:{name}"), query).status_code == 403


# codenames


def test_a_permission_of_the_same_codename_elsewhere_opens_nothing(person: Person) -> None:
    """`view_event` of another app, `ingestion.view_event ` with a space, a name in other letters."""
    other = ContentType.objects.create(app_label="elsewhere", model="event")
    kind = ContentType.objects.get(app_label="ingestion", model="event")
    user = person()
    user.user_permissions.add(
        Stored.objects.create(codename="view_event", name="x", content_type=other),
        Stored.objects.create(codename="ingestion.view_event", name="x", content_type=other),
        Stored.objects.create(codename="View_Event", name="x", content_type=kind),
        Stored.objects.create(codename="view_event ", name="x", content_type=kind),
        Stored.objects.create(codename="*", name="x", content_type=kind),
    )
    client = session_of(user)
    assert client.get(reverse("admin:ingestion_event_changelist")).status_code == 403
    assert client.get(reverse("admin:log")).status_code == 403
    user.user_permissions.set(Stored.objects.filter(codename="view_event", content_type=kind))
    assert session_of(user).get(reverse("admin:ingestion_event_changelist")).status_code == 200


def test_the_right_to_decide_is_worth_nothing_without_the_term_and_a_term_nothing_without_the_right(
    tmp_path: Path,
) -> None:
    """Neither a permission given to a user or a role, nor a row in one of the two tables, makes a DRI."""
    from evidence.decisions.decide import decide_no_go
    from evidence.decisions.errors import DecisionRefused
    from evidence.models import Gate

    gate = dri.gate_row("a")
    ann, bob = gate_person("ann", Role.DRI), gate_person("bob", Role.DRI)
    bob.user_permissions.add(held("decide_gate"))
    with own_store(tmp_path):
        for user in (ann, User.objects.get(pk=bob.pk)):
            with pytest.raises(DecisionRefused):
                decide_no_go(gate, user=user, reason="mine")
        assign_perm(dri.DECIDE, ann, Gate.objects.create(name="other"))
        dri.assign(gate, username="bob", actor=Actor.process("test"), reason="to test")
        with pytest.raises(DecisionRefused):
            decide_no_go(gate, user=User.objects.get(pk=ann.pk), reason="mine")
        from guardian.shortcuts import remove_perm

        remove_perm(dri.DECIDE, bob, gate)
        with pytest.raises(DecisionRefused):
            decide_no_go(gate, user=User.objects.get(pk=bob.pk), reason="mine")


@pytest.mark.django_db(transaction=True)
def test_only_who_may_assign_a_dri_or_the_dri_ends_the_term() -> None:
    dri.gate_row("a")
    ann, bob, cyd = (
        gate_person(name, role) for name, role in (("ann", Role.DRI), ("bob", Role.DRI), ("cyd", Role.LEADERSHIP))
    )
    dri.assign(dri.gate_row("a"), username="ann", actor=Actor.process("test"), reason="to test")
    page, form = reverse("admin:gate", args=["a"]), {"act": "end", "reason": "the launch is off"}
    assert session_of(bob).post(page, form).status_code == 403
    assert DriTerm.objects.filter(until=None).count() == 1
    assert session_of(ann).post(page, form).status_code == 302
    assert not DriTerm.objects.filter(until=None).exists()
    dri.assign(dri.gate_row("a"), username="ann", actor=Actor.process("test"), reason="to test")
    assert session_of(cyd).post(page, form).status_code == 302
    assert not DriTerm.objects.filter(until=None).exists()


# what a page shows beside itself


def test_the_palette_finds_no_row_that_the_asker_may_not_read(person: Person) -> None:
    event = event_row()
    letter, quarantined = dead_letter_row(), quarantined_row(event)
    user = person()
    client = session_of(user)
    by_codename = {"view_event": event, "view_deadletter": letter, "view_quarantinedevent": quarantined}
    for codename, row in by_codename.items():
        asked = {"s": str(row.pk)}
        link = reverse(f"admin:ingestion_{row._meta.model_name}_change", args=[row.pk])
        assert link not in client.get(reverse("admin:search"), asked).content.decode()
        user.user_permissions.add(held(codename))
        assert link in client.get(reverse("admin:search"), asked).content.decode()
        user.user_permissions.clear()
        assert link not in client.get(reverse("admin:search"), asked).content.decode(), "not after a revocation either"


@pytest.mark.django_db(transaction=True)
def test_the_report_links_no_bundle_for_whoever_may_not_read_evidence(person: Person, tmp_path: Path) -> None:
    with own_store(tmp_path / "evidence"):
        decision = approved_go()
        assert decision.bundle is not None
        address = reverse("admin:bundle", args=[decision.bundle.artifact_id])
        user = person()
        user.user_permissions.add(held("view_gate"))
        assert address not in session_of(user).get(reverse("admin:status")).content.decode()
        user.user_permissions.add(held("view_artifact"))
        assert address in session_of(user).get(reverse("admin:status")).content.decode()


# taken away in the middle of a session


def lose_role(user: User) -> None:
    user.groups.clear()


def lose_console(user: User) -> None:
    User.objects.filter(pk=user.pk).update(is_staff=False)


def lose_account(user: User) -> None:
    User.objects.filter(pk=user.pk).update(is_active=False)


def lose_password(user: User) -> None:
    user.set_password("another one, of somebody who took the account back")
    user.save()


@pytest.mark.parametrize("loses", [lose_role, lose_console, lose_account, lose_password])
def test_what_is_taken_away_is_gone_at_the_next_call_of_the_same_session(
    person: Person, loses: Callable[[User], None]
) -> None:
    user = person(Role.PLATFORM_OPS)
    client, provider = session_of(user), provider_row("acme")
    pages = ["/admin/log/", "/evidence/", reverse("admin:ingestion_provider_changelist")]
    assert [client.get(page).status_code for page in pages] == [200, 200, 200]
    loses(user)
    assert {client.get(page).status_code for page in pages} <= {302, 401, 403}
    form = {"action": "disable", "_selected_action": [str(provider.pk)]}
    assert client.post(reverse("admin:ingestion_provider_changelist"), form).status_code in (302, 403)
    provider.refresh_from_db()
    assert provider.enabled


def test_a_revoked_token_is_refused_at_its_next_call() -> None:
    shell = Actor.command_line("t")
    made = service_tokens.create(
        actor=shell, name="ci", scopes=[Scope.EVIDENCE_READ], life=timedelta(days=1), now=_now()
    )
    client = Client(headers={"Authorization": f"Bearer {made.text}"})
    assert client.get("/evidence/").status_code == 200
    service_tokens.revoke(actor=shell, name="ci", now=_now())
    assert client.get("/evidence/").status_code == 401


def test_a_signed_out_session_cannot_be_used_again(signed_in: SignedIn) -> None:
    client = signed_in(Role.DRI)
    kept = client.cookies[settings.SESSION_COOKIE_NAME].value
    client.post(reverse("admin:logout"))
    again = Client()
    again.cookies[settings.SESSION_COOKIE_NAME] = kept
    assert again.get("/admin/log/").status_code == 302


# fields


def test_no_read_only_field_of_a_provider_is_changed_by_posting_it(signed_in: SignedIn) -> None:
    acme, client = provider_row("acme"), signed_in(Role.PLATFORM_OPS)
    before = Provider.objects.filter(pk=acme.pk).values().get()
    sent = {
        "scheme": acme.scheme,
        "options": "{}",
        "enabled": "on",
        "id": "999",
        "pk": "999",
        "name": "globex",
        "created_at": "2001-01-01",
        "created_at_0": "2001-01-01",
        "created_at_1": "00:00:00",
        "updated_at": "2001-01-01",
        "address": "https://evil.example",
        "refusals": "none",
        "certificates": "none",
        "secrets": "mine",
    }
    assert client.post(reverse("admin:ingestion_provider_change", args=[acme.pk]), sent).status_code == 302
    after = Provider.objects.filter(pk=acme.pk).values().get()
    ours = {name: value for name, value in after.items() if name != "updated_at"}
    assert ours == {name: value for name, value in before.items() if name != "updated_at"}
    assert after["updated_at"].year == _now().year
    assert Provider.objects.count() == 1


@pytest.mark.parametrize("method", ["post", "put", "patch", "delete"])
@pytest.mark.parametrize("superuser", [True, False])
def test_no_method_changes_a_field_of_what_the_pipeline_wrote(
    signed_in: SignedIn, method: str, superuser: bool
) -> None:
    event = event_row()
    letter = dead_letter_row()
    client: Any = signed_in(None if superuser else Role.PLATFORM_OPS, superuser=superuser)
    for row in (event, letter):
        model = type(row)
        before = model._default_manager.filter(pk=row.pk).values().get()
        sent = dict.fromkeys(before, "changed")
        address = reverse(f"admin:ingestion_{model._meta.model_name}_change", args=[row.pk])
        if method == "post":
            assert client.post(address, sent).status_code == 403
        else:
            getattr(client, method)(address, sent, content_type="application/json")
        assert model._default_manager.filter(pk=row.pk).values().get() == before


@pytest.mark.parametrize("method", ["post", "put", "patch", "delete"])
def test_what_the_api_only_reads_is_not_written(signed_in: SignedIn, method: str) -> None:
    client: Any = signed_in(Role.DRI)
    for address in ("/api/v1/gates/", "/api/v1/gates/a", "/api/v1/mode", "/evidence/"):
        assert getattr(client, method)(address, {}, content_type="application/json").status_code == 405


def _now() -> datetime:
    return datetime.now(UTC)
