"""Secrets in the console: shown once when made, by fingerprint ever after; rotated and revoked by those who may."""

from __future__ import annotations

import html
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.test import Client
from django.urls import reverse

from console.models import ConsoleSession
from console.roles import Role
from ingestion.models import Provider, ProviderSecret
from ingestion.provider_changes.add import add_provider
from ingestion.provider_changes.rotate import rotate_secret
from ingestion.secret_box import unseal

pytestmark = pytest.mark.django_db

ADD = "/admin/ingestion/provider/add/"
LIST = "/admin/ingestion/provider/"
OTHER_ROLES = [Role.DRI, Role.LEADERSHIP, Role.AUDITOR]


@pytest.fixture
def acme() -> Provider:
    return add_provider(name="acme", scheme="generic", options={}, secret=None, now=datetime.now(UTC)).provider


@pytest.fixture
def ops(signed_in: Any) -> Client:
    client: Client = signed_in(Role.PLATFORM_OPS)
    return client


def address(page: str, provider: Provider, *more: str) -> str:
    return reverse(f"admin:ingestion_provider_{page}", args=[provider.pk, *more])


def newest(provider: Provider) -> ProviderSecret:
    secret = ProviderSecret.objects.filter(provider=provider).order_by("-pk").first()
    assert secret is not None
    return secret


def value_of(secret: ProviderSecret) -> str:
    return unseal(secret.ciphertext)


def rotation(provider: Provider, **fields: str) -> dict[str, str]:
    return {"overlap_hours": "24", "newest": newest(provider).fingerprint, **fields}


def pages_of(client: Client, provider: Provider) -> str:
    addresses = [LIST, *(address(page, provider) for page in ("change", "history", "rotate"))]
    addresses += [address("revoke", provider, each.fingerprint) for each in provider.secrets.all()]
    return "".join(html.unescape(client.get(each).content.decode()) for each in addresses)


def test_a_generated_secret_is_on_the_answer_to_its_form_and_nowhere_else(ops: Client) -> None:
    answer = ops.post(ADD, {"name": "acme", "scheme": "standard", "options": "{}"})
    provider = Provider.objects.get(name="acme")
    value = value_of(newest(provider))
    assert answer.status_code == 200
    assert value in html.unescape(answer.content.decode())
    assert "no-store" in answer["Cache-Control"]
    assert value not in pages_of(ops, provider)
    assert value not in str([session.get_decoded() for session in ConsoleSession.objects.all()])
    assert value not in str(list(LogEntry.objects.values()))


def test_a_secret_that_was_given_is_stored_and_on_no_page(ops: Client) -> None:
    given = "sekret-0123456789abcdef0123"
    answer = ops.post(ADD, {"name": "acme", "scheme": "generic", "options": "{}", "secret": given}, follow=True)
    provider = Provider.objects.get(name="acme")
    assert value_of(newest(provider)) == given
    assert given not in answer.content.decode() + pages_of(ops, provider)
    assert newest(provider).fingerprint in answer.content.decode()


@pytest.mark.parametrize(
    ("given", "field", "says"),
    [
        ({"secret": "sekret-0123"}, "secret", "at least 24 characters"),
        ({"scheme": "sendgrid"}, "secret", "public key"),
        ({"name": "default"}, "name", "environment"),
        ({"secret": "sekret-0123456789abcdef0123", "name": "no slug!"}, "name", "letters"),
    ],
)
def test_what_is_wrong_stands_at_its_field_and_the_secret_is_not_sent_back(
    ops: Client, given: dict[str, str], field: str, says: str
) -> None:
    answer = ops.post(ADD, {"name": "acme", "scheme": "generic", "options": "{}", **given})
    assert says in answer.context["adminform"].form.errors[field][0]
    assert given.get("secret", "sekret-") not in answer.content.decode()
    assert not Provider.objects.exists()


def test_a_rotation_shows_the_new_secret_once_and_gives_the_old_one_an_end(ops: Client, acme: Provider) -> None:
    old = newest(acme)
    answer = ops.post(address("rotate", acme), rotation(acme, overlap_hours="3"))
    new = newest(acme)
    assert new.pk != old.pk
    assert value_of(new) in html.unescape(answer.content.decode())
    assert "no-store" in answer["Cache-Control"]
    old.refresh_from_db()
    assert old.not_after is not None
    assert abs(old.not_after - datetime.now(UTC) - timedelta(hours=3)) < timedelta(minutes=1)
    assert value_of(new) not in pages_of(ops, acme)
    (entry,) = LogEntry.objects.filter(object_id=str(acme.pk))
    assert new.fingerprint in entry.change_message
    assert value_of(new) not in entry.change_message


def test_the_same_form_sent_again_rotates_nothing(ops: Client, acme: Provider) -> None:
    form = rotation(acme)
    ops.post(address("rotate", acme), form)
    answer = ops.post(address("rotate", acme), form, follow=True)
    assert acme.secrets.count() == 2
    assert "nothing was done" in answer.content.decode()


def test_a_rotation_to_a_secret_that_was_there_is_refused_at_its_field(ops: Client, acme: Provider) -> None:
    value = value_of(newest(acme))
    answer = ops.post(address("rotate", acme), rotation(acme, secret=value))
    assert "had that secret already" in answer.context["form"].errors["secret"][0]
    assert value not in answer.content.decode()
    assert acme.secrets.count() == 1


def test_a_needed_secret_is_revoked_only_when_the_box_is_ticked(ops: Client, acme: Provider) -> None:
    secret = newest(acme)
    page = address("revoke", acme, secret.fingerprint)
    assert "last valid one" in ops.get(page).content.decode()
    refused = ops.post(page, {})
    assert refused.context["form"].errors["force"]
    assert newest(acme).not_after is None
    assert ops.post(page, {"force": "on"}).status_code == 302
    assert newest(acme).not_after is not None
    assert "revoked" in LogEntry.objects.get(object_id=str(acme.pk)).change_message


def test_a_quiet_secret_beside_a_new_one_is_revoked_without_a_box(ops: Client, acme: Provider) -> None:
    old = newest(acme)
    rotate_secret(name="acme", secret=None, now=datetime.now(UTC))
    page = address("revoke", acme, old.fingerprint)
    assert 'name="force"' not in ops.get(page).content.decode()
    assert ops.post(page, {}).status_code == 302
    old.refresh_from_db()
    assert old.not_after is not None
    assert old.not_after <= datetime.now(UTC)


def test_the_page_of_a_revocation_changes_nothing_when_it_is_only_opened(ops: Client, acme: Provider) -> None:
    ops.get(address("revoke", acme, newest(acme).fingerprint))
    ops.get(address("rotate", acme))
    assert newest(acme).not_after is None
    assert acme.secrets.count() == 1


@pytest.mark.parametrize("role", OTHER_ROLES)
def test_other_roles_see_the_last_use_and_can_neither_rotate_nor_revoke(
    signed_in: Any, acme: Provider, role: Role
) -> None:
    secret = newest(acme)
    ProviderSecret.objects.update(last_used_at=datetime(2026, 11, 1, 10, 0, tzinfo=UTC))
    client = signed_in(role)
    text = client.get(address("change", acme)).content.decode()
    assert secret.fingerprint in text
    assert "2026-11-01 10:00:00" in text
    for page in (address("rotate", acme), address("revoke", acme, secret.fingerprint)):
        assert page not in text
        for answer in (client.get(page), client.post(page, {"force": "on", "overlap_hours": "0"})):
            assert answer.status_code == 403
            assert "ingestion.change_provider" in answer.content.decode()
    assert (acme.secrets.count(), newest(acme).not_after) == (1, None)


def test_nobody_reaches_the_pages_without_signing_in(client: Client, acme: Provider) -> None:
    for page in (address("rotate", acme), address("revoke", acme, newest(acme).fingerprint)):
        answer = client.post(page, {"force": "on", "overlap_hours": "0"})
        assert answer.status_code == 302
        assert answer["Location"].startswith(reverse("admin:login"))
    assert (acme.secrets.count(), newest(acme).not_after) == (1, None)


def test_default_has_no_such_pages_and_says_where_its_secrets_are(ops: Client) -> None:
    default = Provider.objects.create(name="default", scheme="generic")
    assert ops.get(address("rotate", default)).status_code == 404
    text = ops.get(address("change", default)).content.decode()
    assert "WEBHOOK_HMAC_SECRET" in text
    assert address("rotate", default) not in text


def test_a_scheme_that_the_stored_secrets_do_not_fit_is_refused(ops: Client, acme: Provider) -> None:
    given = {"scheme": "standard", "enabled": "on", "options": "{}"}
    answer = ops.post(address("change", acme), given)
    assert newest(acme).fingerprint in answer.context["adminform"].form.errors["scheme"][0]
    acme.refresh_from_db()
    assert acme.scheme == "generic"


def test_the_command_that_a_hint_names_exists(ops: Client, acme: Provider) -> None:
    from console.management.commands.provider import VERBS

    ProviderSecret.objects.update(not_after=datetime.now(UTC))
    text = ops.get(LIST).content.decode()
    assert "manage.py provider rotate acme" in text
    assert "rotate" in {module.__name__.rpartition(".")[2] for module in VERBS}
