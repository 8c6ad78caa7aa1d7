"""`manage.py provider`: what each verb prints, its exit status, and that a secret is shown once or never."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from io import StringIO
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.core.management import call_command
from django.core.management.base import CommandError
from django.test import override_settings

from evidence.models import AuditEntry
from ingestion.models import Provider, ProviderSecret
from ingestion.provider_book import BOOK
from ingestion.providers.adapter import InboundDelivery
from ingestion.providers.registry import ADAPTERS
from ingestion.receive import base_url
from ingestion.secret_box import unseal
from tests.ingestion.test_provider_changes import PUBLIC_KEY_SCHEMES, public_key_text

pytestmark = pytest.mark.django_db

PROJECT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Done:
    status: int
    out: str
    err: str

    def json(self) -> Any:
        return json.loads(self.out)


@pytest.fixture
def provider(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Any:
    def run(*words: str, stdin: str = "") -> Done:
        capsys.readouterr()
        errors = StringIO()
        monkeypatch.setattr("sys.stdin", StringIO(stdin))
        with pytest.raises(SystemExit) as ended:
            call_command("provider", *words, stderr=errors)
        return Done(int(ended.value.code or 0), capsys.readouterr().out, errors.getvalue())

    return run


def only_secret(name: str = "acme") -> str:
    return unseal(ProviderSecret.objects.get(provider__name=name).ciphertext)


def test_add_shows_a_generated_secret_once_and_says_so(provider: Any) -> None:
    done = provider("add", "acme", "--scheme", "standard", "--option", "ordering_key_path=data.id")
    assert done.status == 0
    assert done.out.count(only_secret()) == 1
    assert "only time that it is shown" in done.out
    assert f"{base_url()}/webhooks/acme" in done.out
    assert Provider.objects.get().options == {"ordering_key_path": "data.id"}
    for later in (("list",), ("show", "acme"), ("list", "--json"), ("show", "acme", "--json")):
        assert only_secret() not in provider(*later).out


def test_a_secret_comes_from_standard_input_or_a_file_and_is_not_printed(provider: Any, tmp_path: Path) -> None:
    first, second = "f" * 32, "s" * 32
    done = provider("add", "acme", "--scheme", "generic", "--secret-file", "-", stdin=f"{first}\n")
    assert done.status == 0
    assert only_secret() == first
    assert first not in done.out
    file = tmp_path / "secret"
    file.write_text(f"{second}\n")
    done = provider("rotate", "acme", "--secret-file", str(file), "--overlap", "0", "--json")
    assert done.status == 0
    assert second not in done.out
    assert done.json()["secret"] is None


def test_no_verb_takes_a_secret_as_an_argument(provider: Any) -> None:
    for words in (("add", "acme", "--scheme", "generic", "--secret", "x"), ("rotate", "acme", "--secret", "x" * 32)):
        with pytest.raises(CommandError):
            call_command("provider", *words)
    assert not Provider.objects.exists()


def test_list_and_show_tell_validity_and_last_use_of_each_secret(provider: Any) -> None:
    provider("add", "acme", "--scheme", "generic")
    old = ProviderSecret.objects.get().fingerprint
    new = provider("rotate", "acme", "--overlap", "2h", "--json").json()["fingerprint"]
    used = datetime(2026, 11, 1, 10, 0, tzinfo=UTC)
    ProviderSecret.objects.filter(fingerprint=old).update(last_used_at=used)
    secrets = {each["fingerprint"]: each for each in provider("show", "acme", "--json").json()["secrets"]}
    assert secrets[old]["last_used_at"] == "2026-11-01T10:00:00.000000Z"
    assert (secrets[new]["last_used_at"], secrets[new]["not_after"], secrets[new]["phase"]) == (None, None, "valid")
    ends = datetime.fromisoformat(secrets[old]["not_after"])
    assert abs(ends - datetime.now(UTC) - timedelta(hours=2)) < timedelta(minutes=1)
    assert f"…{old}  valid" in provider("list").out
    assert "last used 2026-11-01T10:00:00Z" in provider("show", "acme").out
    named = [each["name"] for each in provider("list", "--json").json()["providers"]]
    assert named == ["acme", "default"]


def test_revoke_refuses_what_is_needed_with_status_1_and_names_the_way_out(provider: Any) -> None:
    provider("add", "acme", "--scheme", "generic")
    fingerprint = ProviderSecret.objects.get().fingerprint
    done = provider("revoke", "acme", fingerprint)
    assert (done.status, done.out) == (1, "")
    assert "last valid one" in done.err
    assert "--force" in done.err
    assert provider("revoke", "acme", fingerprint, "--force").status == 0
    assert "no secret is valid now" in provider("show", "acme").out


def test_enable_and_disable_say_what_changed(provider: Any) -> None:
    provider("add", "acme", "--scheme", "generic")
    assert provider("disable", "acme").out == "acme is disabled\n"
    assert provider("disable", "acme").out == "acme was disabled already\n"
    assert provider("enable", "acme").out == "acme is enabled\n"


@pytest.mark.parametrize(
    ("words", "status", "says"),
    [
        (("add", "acme", "--scheme", "nonsense"), 2, "known are brevo"),
        (("add", "default", "--scheme", "generic"), 1, "from the environment"),
        (("rotate", "default"), 1, "from the environment"),
        (("rotate", "nobody"), 1, "provider list"),
        (("show", "nobody"), 1, "provider list"),
        (("test", "nobody"), 1, "provider list"),
        (("add", "acme", "--scheme", "sendgrid"), 2, "public key"),
        (("add", "acme", "--scheme", "generic", "--secret-file", "/nowhere/at/all"), 2, "No such file"),
    ],
)
def test_a_refusal_is_one_line_with_its_status(provider: Any, words: tuple[str, ...], status: int, says: str) -> None:
    done = provider(*words)
    assert (done.status, done.out) == (status, "")
    assert done.err.startswith(f"provider {words[0]}: ")
    assert says in done.err
    assert len(done.err.splitlines()) == 1


@pytest.mark.parametrize(
    "words",
    [
        (),
        ("nonsense",),
        ("rotate", "acme", "--overlap", "soon"),
        ("rotate", "acme", "--not-before", "2027-01-01T00:00:00"),
        ("add", "acme", "--scheme", "generic", "--option", "nonsense"),
        ("test", "acme", "--target", "file:///etc/passwd"),
    ],
)
def test_wrong_usage_exits_with_2(words: tuple[str, ...]) -> None:
    done = subprocess.run(
        [sys.executable, "manage.py", "provider", *words], cwd=PROJECT, env=os.environ, capture_output=True, timeout=60
    )
    assert done.returncode == 2
    assert b"Traceback" not in done.stderr


def test_rekey_counts_and_fails_when_a_secret_opens_with_no_key(provider: Any) -> None:
    for name in ("one", "two"):
        provider("add", name, "--scheme", "generic")
    with override_settings(SECRET_KEY="n" * 40, SECRET_KEY_FALLBACKS=[settings.SECRET_KEY]):
        done = provider("rekey", "--json")
        assert (done.status, done.json()) == (0, {"rekeyed_count": 2, "current_count": 0, "unreadable": []})
        assert provider("rekey", "--json").json()["current_count"] == 2
    done = provider("rekey")  # back to a key that opens none of them
    assert done.status == 1
    assert "! one …" in done.out
    assert "! two …" in done.out


@pytest.mark.parametrize("scheme", sorted(set(ADAPTERS) - PUBLIC_KEY_SCHEMES))
def test_the_printed_curl_is_a_request_that_the_adapter_believes_and_reads(provider: Any, scheme: str) -> None:
    provider("add", "acme", "--scheme", scheme)
    line = provider("test", "acme").out.splitlines()[0]
    delivery = delivery_of(line)
    known = BOOK.named("acme")
    assert known is not None
    known.adapter.verify(
        delivery, secrets=known.secrets_at(delivery.received_us), options=known.options, now_us=delivery.received_us
    )
    assert len(known.adapter.identify(delivery, options=known.options)) == 1


def delivery_of(line: str) -> InboundDelivery:
    """What the shell would make of the command, as the ingress would get it."""
    words = shlex.split(line)
    assert words[:2] == ["curl", "-sS"]
    assert words[2] == f"http://127.0.0.1:{settings.AUTOCOM.ingress_port}/webhooks/acme"
    headers = [word.split(": ", 1) for flag, word in pairwise(words) if flag == "-H"]
    return InboundDelivery(
        provider="acme",
        headers={name.lower(): value for name, value in headers},
        body=words[words.index("--data-raw") + 1].encode(),
        url=f"{base_url()}/webhooks/acme",
        received_us=int(datetime.now(UTC).timestamp() * 1_000_000),
    )


def test_a_test_of_a_public_key_provider_says_what_to_do_instead(provider: Any) -> None:
    provider("add", "acme", "--scheme", "sendgrid", "--secret-file", "-", stdin=public_key_text())
    done = provider("test", "acme")
    assert done.status == 1
    assert "only SendGrid can sign" in done.err
    assert "provider show acme" in done.err


def test_mailgun_with_basic_credentials_is_not_given_a_curl_that_would_be_refused(provider: Any) -> None:
    provider("add", "acme", "--scheme", "mailgun")
    provider("rotate", "acme", "--secret-file", "-", stdin="basic:user:0123456789abcdef")
    done = provider("test", "acme")
    assert done.status == 1
    assert "authorization" in done.err
    assert "0123456789abcdef" not in done.err


def test_a_test_of_default_prints_the_command_that_up_prints(provider: Any) -> None:
    from ingestion.signed_curl import first_webhook

    done = provider("test", "default")
    assert done.out.rstrip() == first_webhook(f"http://127.0.0.1:{settings.AUTOCOM.ingress_port}").rstrip()


def test_a_test_event_does_not_leave_this_machine_in_observer_mode(provider: Any) -> None:
    provider("add", "acme", "--scheme", "generic")
    done = provider("test", "acme", "--send", "--target", "https://autocom.example.com")
    assert done.status == 1
    assert "the mode is OBSERVER: nothing is sent to autocom.example.com" in done.err
    assert AuditEntry.objects.filter(subject="provider test to autocom.example.com").count() == 1


def test_sending_to_nobody_fails_with_one_line(provider: Any) -> None:
    provider("add", "acme", "--scheme", "generic")
    done = provider("test", "acme", "--send", "--target", "http://127.0.0.1:1")
    assert done.status == 1
    assert "does not answer" in done.err
