"""Rights on single rows: on this provider or bundle and no other, and on nothing that follows from it."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any

import pytest
from django.apps import apps
from django.contrib.auth.models import Permission as Stored
from django.contrib.auth.models import User
from django.contrib.contenttypes.models import ContentType
from django.test import Client
from django.urls import reverse
from guardian.models import UserObjectPermission
from guardian.shortcuts import assign_perm, remove_perm

from console.access import Permission
from console.keyset import keyset_page
from console.models import BundleGrant, GateGrant, ProviderGrant
from console.service_tokens.scopes import Scope
from evidence.audit import Act, Actor
from evidence.decisions.dri import DECIDE, gate_row
from evidence.models import AuditEntry, Bundle, Gate
from ingestion.models import Provider
from tests.console.api.kit import program
from tests.console.rows import bundle_row, dead_letter_row, event_row, provider_row, quarantined_row

pytestmark = pytest.mark.django_db
MODEL_BACKEND = "django.contrib.auth.backends.ModelBackend"


@pytest.fixture
def guest(person: Callable[..., User]) -> tuple[User, Client]:
    """Somebody who may sign in and holds no role."""
    user, client = person(), Client()
    client.force_login(user, backend=MODEL_BACKEND)
    return user, client


def two_providers() -> tuple[Provider, Provider]:
    return provider_row("acme"), provider_row("globex")


def change_page(provider: Provider) -> str:
    return reverse("admin:ingestion_provider_change", args=[provider.pk])


LIST = "admin:ingestion_provider_changelist"


def names_in_list(client: Client) -> list[str]:
    return sorted(provider.name for provider in client.get(reverse(LIST)).context["cl"].queryset)


def test_a_right_to_see_one_provider_shows_that_one_and_no_other(guest: tuple[User, Client]) -> None:
    (user, client), (acme, globex) = guest, two_providers()
    assert client.get(reverse(LIST)).status_code == 403
    assign_perm(Permission.PROVIDER_READ, user, acme)
    assert names_in_list(client) == ["acme"]
    assert client.get(change_page(acme)).status_code == 200
    assert client.get(change_page(globex)).status_code == 403
    assert client.get(reverse("admin:ingestion_provider_history", args=[globex.pk])).status_code == 403
    assert client.post(change_page(acme), {"scheme": "stripe", "options": "{}"}).status_code == 403
    assert client.get(reverse("admin:ingestion_provider_rotate", args=[acme.pk])).status_code == 403
    assert client.get(reverse("admin:ingestion_provider_add")).status_code == 403


def test_a_right_on_a_provider_shows_none_of_its_events_by_any_page_search_or_address(
    guest: tuple[User, Client],
) -> None:
    """The rule of docs/decisions/0045: whoever needs its events needs a role."""
    (user, client), (acme, _) = guest, two_providers()
    assign_perm(Permission.PROVIDER_READ, user, acme)
    event, letter = event_row(provider="acme"), dead_letter_row(provider="acme")
    for row in (event, letter, quarantined_row(event)):
        kind = f"admin:ingestion_{row._meta.model_name}"
        assert client.get(reverse(f"{kind}_changelist"), {"q": "provider:acme"}).status_code == 403
        assert client.get(reverse(f"{kind}_change", args=[row.pk])).status_code == 403
        found = client.get(reverse("admin:search"), {"s": str(row.pk)}).content.decode()
        assert reverse(f"{kind}_change", args=[row.pk]) not in found
    pages = [reverse("admin:follow"), reverse("admin:index"), reverse("admin:latency")]
    addresses = ["events/", "dead-letters/", "quarantine/", "lineage", "latency", f"events/{event.pk}"]
    for page in [*pages, *(f"/api/v1/{address}" for address in addresses)]:
        assert client.get(page, {"provider": "acme"}).status_code == 403, page
    assert str(event.pk) not in client.get(change_page(acme)).content.decode()


def test_a_right_to_change_one_provider_changes_no_other_by_page_or_by_a_bulk_action(
    guest: tuple[User, Client],
) -> None:
    (user, client), (acme, globex) = guest, two_providers()
    for row in (acme, globex):
        assign_perm(Permission.PROVIDER_READ, user, row)
    assign_perm(Permission.PROVIDER_CHANGE, user, acme)
    assert client.get(reverse("admin:ingestion_provider_rotate", args=[acme.pk])).status_code == 200
    assert client.get(reverse("admin:ingestion_provider_rotate", args=[globex.pk])).status_code == 403
    assert client.post(change_page(globex), {"scheme": "stripe", "options": "{}"}).status_code == 403

    def disable(*rows: Provider) -> int:
        form = {"action": "disable", "_selected_action": [str(row.pk) for row in rows]}
        return client.post(reverse(LIST), form).status_code

    assert disable(acme, globex) == 403
    assert set(Provider.objects.values_list("enabled", flat=True)) == {True}, "nothing is done by halves"
    refused = AuditEntry.objects.filter(act=Act.PERMISSION_REFUSED.value).latest("number")
    assert (refused.subject, refused.facts["permission"]) == ("provider globex", Permission.PROVIDER_CHANGE.value)
    assert disable(acme) == 302
    assert dict(Provider.objects.values_list("name", "enabled")) == {"acme": False, "globex": True}


def test_a_bulk_action_does_not_reach_a_row_that_is_not_in_the_list(guest: tuple[User, Client]) -> None:
    (user, client), (acme, globex) = guest, two_providers()
    for permission in (Permission.PROVIDER_READ, Permission.PROVIDER_CHANGE):
        assign_perm(permission, user, acme)
    form = {"action": "disable", "_selected_action": [str(globex.pk)], "select_across": "1"}
    client.post(reverse(LIST), form)
    globex.refresh_from_db()
    assert globex.enabled


def another_bundle() -> Bundle:
    from evidence.models import Artifact

    one = bundle_row()
    artifact = Artifact.objects.create(
        sha256="6" * 64, size_bytes=1, media_type="application/gzip", stored_at=one.made_at
    )
    return Bundle.objects.create(
        artifact=artifact,
        run_id="another-run",
        gate="a",
        gate_version=1,
        verdict="PASS",
        sums_sha256="7" * 64,
        made_at=one.made_at,
        actor="somebody",
    )


def test_a_right_to_see_one_bundle_opens_its_page_its_check_and_its_download_and_no_other(
    guest: tuple[User, Client],
) -> None:
    user, client = guest
    other = another_bundle()
    mine = Bundle.objects.exclude(pk=other.pk).get()
    pages = ["admin:bundle", "admin:evidence_artifact_download"]
    assert client.get(reverse("admin:bundles")).status_code == 403
    assign_perm(Permission.BUNDLE_READ, user, mine)
    text = client.get(reverse("admin:bundles")).content.decode()
    assert mine.run_id in text
    assert "another-run" not in text
    assert "You see the bundles that you hold a right on, and no runs" in text
    assert 'name="run"' not in text
    assert {client.get(reverse(name, args=[mine.artifact_id])).status_code for name in pages} <= {200, 500}
    assert {client.get(reverse(name, args=[other.artifact_id])).status_code for name in pages} == {403}
    assert client.post(reverse("admin:bundle_verify", args=[mine.artifact_id])).status_code == 200
    assert client.post(reverse("admin:bundle_verify", args=[other.artifact_id])).status_code == 403
    assert client.post(reverse("admin:bundles"), {"run": "r", "gate": "a"}).status_code == 403
    for name in ("changelist", "change"):
        arguments = [mine.artifact_id] if name == "change" else []
        assert client.get(reverse(f"admin:evidence_artifact_{name}", args=arguments)).status_code == 403


def test_the_api_answers_whoever_holds_a_right_on_one_bundle_as_the_console_does(guest: tuple[User, Client]) -> None:
    user, client = guest
    other = another_bundle()
    mine = Bundle.objects.exclude(pk=other.pk).get()
    nothing = "8" * 64

    def asked(sha256: str) -> list[int]:
        one, bytes_of = f"/api/v1/bundles/{sha256}", [f"/api/v1/evidence/{sha256}", f"/evidence/{sha256}"]
        answers = [client.get(one), *(client.get(each) for each in bytes_of), *(client.head(each) for each in bytes_of)]
        return [answer.status_code for answer in (*answers, client.post(f"{one}/verify"))]

    assert client.get("/api/v1/bundles/").status_code == 403
    assert asked(mine.artifact_id) == [403] * 6
    assign_perm(Permission.BUNDLE_READ, user, mine)
    assert asked(mine.artifact_id) == [200] * 6
    assert asked(other.artifact_id) == asked(nothing) == [403] * 6
    assert asked("x") == asked("%00") == [403] * 6
    assert b"".join(client.get(f"/evidence/{mine.artifact_id}").streaming_content)[:2] == b"\x1f\x8b"  # type: ignore[attr-defined]
    entries = AuditEntry.objects.filter(actor=Actor.person(user).name)
    assert {entry.act for entry in entries} >= {Act.ARTIFACT_DOWNLOADED.value, Act.BUNDLE_VERIFIED.value}
    kept = {"evidence/": "get", "bundles/orders/": "post", f"evidence/{mine.artifact_id}": "put", "replays/": "get"}
    for address, method in kept.items():
        assert getattr(client, method)(f"/api/v1/{address}").status_code == 403, address
    remove_perm(Permission.BUNDLE_READ, user, mine)
    assert asked(mine.artifact_id) == [403] * 6


def test_no_filter_place_or_tag_of_the_apis_list_tells_of_a_bundle_that_is_not_ones_own(
    guest: tuple[User, Client], monkeypatch: pytest.MonkeyPatch
) -> None:
    (user, client), other = guest, another_bundle()
    mine = Bundle.objects.exclude(pk=other.pk).get()
    assign_perm(Permission.BUNDLE_READ, user, mine)
    monkeypatch.setattr(keyset_page, "__kwdefaults__", {"scan_limit_count": 1})

    def listed(**query: str) -> dict[str, Any]:
        answer = client.get("/api/v1/bundles/", query)
        assert answer.status_code == 200
        told: dict[str, Any] = answer.json()
        return told

    def runs(told: dict[str, Any]) -> list[str]:
        return [each["run_id"] for each in told["bundles"]]

    assert runs(listed()) == [mine.run_id]
    nothing: dict[str, Any] = {"bundles": [], "next": None, "searched_to": None}
    assert listed(run_id="another-run") == listed(run_id="no-run") == nothing
    assert listed(gate="b") == nothing, "a search that stops says where: at a bundle of somebody else"
    assert runs(listed(gate="a", limit="1")) == runs(listed(before=str(2**62))) == [mine.run_id]
    with_other = client.get("/api/v1/bundles/")["ETag"]
    BundleGrant.objects.filter(content_object=other).delete()
    other.delete()
    assert client.get("/api/v1/bundles/")["ETag"] == with_other


def test_a_program_holds_no_right_on_a_row_and_needs_its_scope() -> None:
    bundle, acme = bundle_row(), provider_row("acme")
    client = program(Scope.LETTERS_WRITE)
    for address in ("bundles/", f"bundles/{bundle.artifact_id}", "providers/", f"providers/{acme.name}"):
        assert client.get(f"/api/v1/{address}").status_code == 403
    assert program(Scope.EVIDENCE_READ, name="reads").get("/api/v1/bundles/").json()["bundles"]


def test_the_api_shows_whoever_holds_a_right_on_one_provider_that_one(guest: tuple[User, Client]) -> None:
    (user, client), (acme, _) = guest, two_providers()
    assert [client.get(f"/api/v1/providers/{name}").status_code for name in ("", "acme")] == [403, 403]
    assign_perm(Permission.PROVIDER_READ, user, acme)
    assert [each["name"] for each in client.get("/api/v1/providers/").json()["providers"]] == ["acme"]
    names = ("acme", "globex", "nobody", "default")
    assert [client.get(f"/api/v1/providers/{name}").status_code for name in names] == [200, 403, 403, 403]


def test_a_right_that_was_taken_away_is_gone_in_the_same_session(guest: tuple[User, Client]) -> None:
    (user, client), (acme, _) = guest, two_providers()
    bundle = bundle_row()
    assign_perm(Permission.PROVIDER_READ, user, acme)
    assign_perm(Permission.BUNDLE_READ, user, bundle)
    pages = [reverse(LIST), change_page(acme), reverse("admin:bundle", args=[bundle.artifact_id])]
    assert [client.get(page).status_code for page in pages] == [200, 200, 200]
    remove_perm(Permission.PROVIDER_READ, user, acme)
    remove_perm(Permission.BUNDLE_READ, user, bundle)
    assert [client.get(page).status_code for page in pages] == [403, 403, 403]


def test_the_sidebar_and_the_palette_offer_the_lists_to_whoever_holds_a_right_on_a_row(
    guest: tuple[User, Client],
) -> None:
    (user, client), (acme, _) = guest, two_providers()

    def offered() -> str:
        return client.get(reverse("admin:search"), {"s": "Providers"}).content.decode()

    assert reverse(LIST) not in offered()
    assign_perm(Permission.PROVIDER_READ, user, acme)
    assert reverse(LIST) in offered()


def test_no_right_outlives_its_row_and_none_is_kept_in_the_librarys_own_table(person: Callable[..., User]) -> None:
    user, acme, bundle, gate = person(), provider_row("acme"), bundle_row(), gate_row("a")
    assign_perm(Permission.PROVIDER_READ, user, acme)
    assign_perm(Permission.BUNDLE_READ, user, bundle)
    assign_perm(DECIDE, user, gate)
    grants: tuple[Any, ...] = (ProviderGrant, BundleGrant, GateGrant)
    assert [model.objects.count() for model in grants] == [1, 1, 1]
    assert UserObjectPermission.objects.count() == 0
    acme.delete()
    gate.delete()
    assert [model.objects.count() for model in grants] == [0, 1, 0]


def test_an_inactive_user_holds_no_right_on_a_row(person: Callable[..., User]) -> None:
    from console.row_rights import holds_somewhere, may, visible

    user, acme = person(), provider_row("acme")
    assign_perm(Permission.PROVIDER_READ, user, acme)
    user = User.objects.get(pk=user.pk)
    assert may(user, Permission.PROVIDER_READ, acme)
    User.objects.filter(pk=user.pk).update(is_active=False)
    user = User.objects.get(pk=user.pk)
    assert not may(user, Permission.PROVIDER_READ, acme)
    assert not holds_somewhere(user, Permission.PROVIDER_READ, Provider)
    assert not visible(user, Permission.PROVIDER_READ, Provider.objects.all()).exists()


def test_the_migration_moves_the_right_of_a_dri_and_drops_one_whose_gate_is_gone(person: Callable[..., User]) -> None:
    moved = import_module("console.migrations.0004_rights_on_rows").gates_rights_move
    user, gate = person(), gate_row("a")
    kind = ContentType.objects.get_for_model(Gate)
    decides = Stored.objects.get(codename="decide_gate")
    UserObjectPermission.objects.bulk_create(  # a single one would be looked up, and refused without its gate
        UserObjectPermission(user=user, permission=decides, content_type=kind, object_pk=str(number))
        for number in (gate.pk, gate.pk + 1_000)
    )
    moved(apps, None)
    assert not UserObjectPermission.objects.exists()
    assert [(grant.user, grant.content_object) for grant in GateGrant.objects.all()] == [(user, gate)]
    assert User.objects.get(pk=user.pk).has_perm(DECIDE, gate)
