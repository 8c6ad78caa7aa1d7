"""docs/add-a-provider.md, done as it says: its module and its registration make a provider that works."""

from __future__ import annotations

import importlib
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest
from django.test import Client

from autocom.kernel.clock import SYSTEM_CLOCK
from ingestion import provider_book, providers
from ingestion.buffer.store import LaneBuffer
from ingestion.drain import Drainer
from ingestion.models import Event, Provider, ProviderSecret
from ingestion.provider_book import ProviderBook
from ingestion.providers import registry
from ingestion.providers.adapter import Secret
from ingestion.secret_box import fingerprint_of, seal

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "add-a-provider.md"
SECRET = "the-signing-secret-from-acme"
BODY = b'{"id":"a1","type":"mail.bounced","at":"2026-01-01T00:00:00Z","mail":{"id":"m1","to":"ada@example.com"}}'


def block(language: str) -> str:
    (found,) = re.findall(rf"```{language}\n(.*?)```", DOCUMENT.read_text(), re.DOTALL)
    return str(found)


def registered() -> str:
    """The registry's own text with the document's two lines, each before the first of its kind."""
    imported, entry = (line.removeprefix("+") for line in block("diff").splitlines())
    text = Path(registry.__file__).read_text()
    for line, place in ((imported, "    brevo,\n"), (entry, "    brevo.SCHEME: brevo,\n")):
        assert text.count(place) == 1
        text = text.replace(place, f"{line}\n{place}")
    return text


@pytest.fixture
def acme(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    """The module in a folder that counts as part of ingestion.providers, and a registry that knows it."""
    (tmp_path / "acme.py").write_text(block("python"))
    (tmp_path / "registry_with_acme.py").write_text(registered())
    monkeypatch.setattr(providers, "__path__", [*providers.__path__, str(tmp_path)])
    with_acme = importlib.import_module("ingestion.providers.registry_with_acme")
    monkeypatch.setattr(provider_book, "adapter_of", with_acme.adapter_of)
    yield with_acme.ADAPTERS["acme"]
    for name in ("acme", "registry_with_acme"):
        del sys.modules[f"ingestion.providers.{name}"]
        delattr(providers, name)


def signed_by(acme: ModuleType, *, secret: str = SECRET) -> dict[str, str]:
    key = Secret(value=secret, fingerprint="")
    headers, _ = acme.sign(BODY, secret=key, options=acme.Options(), url="", now_us=SYSTEM_CLOCK.now_us())
    return dict(headers)


@pytest.mark.django_db(transaction=True)
@pytest.mark.urls("autocom.ingress_urls")
def test_the_documents_module_and_registration_make_a_provider_that_works(
    acme: ModuleType, buffer: LaneBuffer, drainer: Drainer, monkeypatch: pytest.MonkeyPatch
) -> None:
    row = Provider.objects.create(name="our-acme", scheme="acme")
    ProviderSecret.objects.create(provider=row, ciphertext=seal(SECRET), fingerprint=fingerprint_of(SECRET))
    book = ProviderBook()
    book.refresh()
    monkeypatch.setattr("ingestion.receive.BOOK", book)

    def post(headers: dict[str, str]) -> int:
        kind = headers["Content-Type"]
        return Client().post("/webhooks/our-acme", BODY, content_type=kind, headers=headers).status_code

    good = signed_by(acme)
    spoilt = good | {"X-Acme-Signature": "0" * 64}
    assert [post(good), post(good), post(spoilt), post(signed_by(acme, secret=SECRET[::-1]))] == [200, 200, 401, 401]

    for lane in range(4):
        drainer.drain(lane, job_id="job")
    event = Event.objects.get(provider="our-acme")
    assert (event.message_id, event.event_type, event.kind) == ("a1", "mail.bounced", "bounced")
    assert (event.ordering_key, event.recipe) == ("m1", "acme/1")


def test_a_registry_without_the_line_does_not_know_the_scheme(acme: ModuleType) -> None:
    assert acme.SCHEME not in registry.ADAPTERS
