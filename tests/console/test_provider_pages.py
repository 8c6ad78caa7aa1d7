"""Providers are added and switched here; what the ingress could not use is refused; secrets stay hidden."""

from typing import Any

import pytest
from django.urls import reverse

from console.roles import Role
from ingestion.models import Provider, ProviderSecret
from tests.console.rows import provider_row

pytestmark = pytest.mark.django_db

ADD = "/admin/ingestion/provider/add/"
LIST = "/admin/ingestion/provider/"


def errors_of(response: Any) -> dict[str, list[str]]:
    return {name: list(errors) for name, errors in response.context["adminform"].form.errors.items()}


def test_platform_ops_add_a_provider(signed_in: Any) -> None:
    given = {"name": "acme", "scheme": "standard", "options": '{"ordering_key_path": "data.id"}'}
    response = signed_in(Role.PLATFORM_OPS).post(ADD, given)
    assert response.status_code == 200
    provider = Provider.objects.get(name="acme")
    assert (provider.scheme, provider.enabled, provider.options) == ("standard", True, {"ordering_key_path": "data.id"})


def test_empty_options_mean_the_defaults(signed_in: Any) -> None:
    signed_in(Role.PLATFORM_OPS).post(ADD, {"name": "acme", "scheme": "standard", "options": "{}"})
    assert Provider.objects.get(name="acme").options == {}


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ('{"policy": "nonsense"}', "policy is both, bearer or signature"),
        ('{"unheard_of": "x"}', "unheard_of"),
        ('{"policy": 7}', "policy"),
        ("[1]", "JSON object"),
        ("{", "valid JSON"),
    ],
)
def test_options_that_the_adapter_cannot_read_are_refused_at_their_field(
    signed_in: Any, options: str, says: str
) -> None:
    response = signed_in(Role.PLATFORM_OPS).post(ADD, {"name": "acme", "scheme": "generic", "options": options})
    assert response.status_code == 200
    assert says in errors_of(response)["options"][0]
    assert not Provider.objects.filter(name="acme").exists()


def test_an_unknown_scheme_is_refused_at_its_field(signed_in: Any) -> None:
    response = signed_in(Role.PLATFORM_OPS).post(ADD, {"name": "acme", "scheme": "nonsense", "options": "{}"})
    assert "scheme" in errors_of(response)


def test_the_name_of_a_provider_never_changes(signed_in: Any) -> None:
    provider = provider_row("acme")
    given = {"name": "other", "scheme": "standard", "enabled": "on", "options": "{}"}
    signed_in(Role.PLATFORM_OPS).post(reverse("admin:ingestion_provider_change", args=[provider.pk]), given)
    provider.refresh_from_db()
    assert (provider.name, provider.scheme) == ("acme", "standard")


def test_secrets_are_shown_by_fingerprint_only(signed_in: Any) -> None:
    provider = provider_row("acme")
    ProviderSecret.objects.create(provider=provider, ciphertext=b"sealed-secret-bytes", fingerprint="1f0c33ab")
    client = signed_in(superuser=True)
    for address in (LIST, reverse("admin:ingestion_provider_change", args=[provider.pk])):
        text = client.get(address).content.decode()
        assert "1f0c33ab" in text
        assert "sealed-secret" not in text


def test_switching_moves_the_time_by_which_the_ingress_sees_a_change(signed_in: Any) -> None:
    provider = provider_row("acme")
    before = provider.updated_at
    client = signed_in(Role.PLATFORM_OPS)
    client.post(LIST, {"action": "disable", "_selected_action": [str(provider.pk)]})
    provider.refresh_from_db()
    assert not provider.enabled
    assert provider.updated_at > before
    client.post(LIST, {"action": "enable", "_selected_action": [str(provider.pk)]})
    provider.refresh_from_db()
    assert provider.enabled


@pytest.mark.parametrize("role", [Role.DRI, Role.LEADERSHIP, Role.AUDITOR])
def test_other_roles_neither_add_nor_switch_nor_change(signed_in: Any, role: Role) -> None:
    provider = provider_row("acme")
    client = signed_in(role)
    client.post(LIST, {"action": "disable", "_selected_action": [str(provider.pk)]})
    change = reverse("admin:ingestion_provider_change", args=[provider.pk])
    assert client.post(change, {"scheme": "standard", "options": "{}"}).status_code == 403
    assert client.post(ADD, {"name": "x", "scheme": "generic", "options": "{}"}).status_code == 403
    provider.refresh_from_db()
    assert (provider.enabled, provider.scheme) == (True, "generic")


def test_nobody_deletes_a_provider(signed_in: Any) -> None:
    provider = provider_row("acme")
    client = signed_in(superuser=True)
    assert (
        client.post(reverse("admin:ingestion_provider_delete", args=[provider.pk]), {"post": "yes"}).status_code == 403
    )
    client.post(LIST, {"action": "delete_selected", "_selected_action": [str(provider.pk)], "post": "yes"})
    assert Provider.objects.filter(name="acme").exists()
