"""Certificates of Amazon SNS: imported by an operator, never fetched; a missing one is noted and its messages wait."""

from __future__ import annotations

import io
import json
import logging
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from autocom.kernel.errors import ConfigurationError
from console.management.provider import certificate as command
from ingestion import certificates
from ingestion.buffer.store import LaneBuffer
from ingestion.certificates import WANTED, import_certificate
from ingestion.models import Event, Provider, ProviderCertificate, WantedCertificate
from ingestion.provider_book import ProviderBook
from ingestion.providers.sns_envelope import certificate_facts
from tests.support.lanes import LANES, LaneKit
from tests.support.schemes import RSA_KEY, SCHEMES, TOPIC, Request, add_provider, certified, load_book, pem_of

pytestmark = [pytest.mark.urls("autocom.ingress_urls"), pytest.mark.django_db(transaction=True)]
SES = SCHEMES["ses"]
NAME = "SimpleNotificationService-test.pem"  # as `ses.sign` names it
URL = f"https://sns.us-east-1.amazonaws.com/{NAME}"
NOW = datetime.now(tz=UTC)
PEM = certified(RSA_KEY)


@pytest.fixture
def provider(buffer: LaneBuffer, monkeypatch: pytest.MonkeyPatch) -> Provider:
    """Of the scheme ses, with a topic and no certificate."""
    monkeypatch.setattr(WANTED, "_counts", Counter())
    row = add_provider(SES)
    row.secrets.all().delete()
    load_book(monkeypatch)
    return row


def run(act: str, file: Path | None = None, **options: Any) -> tuple[int, str]:
    out = io.StringIO()
    return command.run(act=act, name=options.pop("name", "ses"), file=file, stdout=out, **options), out.getvalue()


def pem_file(directory: Path, text: str = PEM, *, name: str = NAME) -> Path:
    file = directory / name
    file.write_text(text)
    return file


def test_a_message_waits_with_sns_until_its_certificate_is_imported_and_is_then_stored_once(
    provider: Provider, lanes: LaneKit, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent = SES.request(SES.event)
    refused = [sent.send() for _ in range(2)]
    assert [(each.status, each.code) for each in refused] == [(503, "unauthorized")] * 2  # 4xx would lose it
    WANTED.write(now=NOW)
    assert (URL in run("list")[1], "2 messages refused" in run("list")[1]) == (True, True)
    status, said = run("import", pem_file(tmp_path))
    assert (status, NAME in said) == (0, True)
    assert not WantedCertificate.objects.exists()
    load_book(monkeypatch)
    assert sent.send().status == 202
    for lane in range(LANES):
        lanes.drain(lane)
    assert Event.objects.count() == 1


def test_a_message_that_a_certificate_which_is_here_did_not_sign_is_refused_for_good(
    provider: Provider, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run("import", pem_file(tmp_path))
    load_book(monkeypatch)
    assert SES.forged().send().status == 401
    assert SES.request(SES.event).send().status == 202
    WANTED.write(now=NOW)
    assert not WantedCertificate.objects.exists()


def test_a_certificate_verifies_no_longer_than_it_says_itself(
    provider: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    long_ago = NOW - timedelta(days=59)
    import_certificate(provider=provider, pem=certified(RSA_KEY, days=-1), file_name=NAME, now=long_ago)
    load_book(monkeypatch)
    assert SES.request(SES.event).send().status == 503
    assert "EXPIRED" in run("list")[1]


def test_a_message_of_a_topic_that_is_not_ours_asks_for_no_certificate(provider: Provider) -> None:
    foreign = replace(SES, options={"topic_arns": [TOPIC + "-of-others"]})
    assert foreign.request(SES.event).send().status == 401
    WANTED.write(now=NOW)
    assert not WantedCertificate.objects.exists()


def test_what_senders_can_make_us_note_is_bounded(provider: Provider) -> None:
    for number in range(200):
        WANTED.note(provider="ses", url=f"https://sns.us-east-1.amazonaws.com/{number}.pem")
    assert len(WANTED._counts) == certificates.NOTES_LIMIT_COUNT
    WANTED.write(now=NOW)
    assert WantedCertificate.objects.count() == certificates.ROWS_LIMIT_COUNT
    assert not WANTED._counts


def test_an_import_changes_what_the_ingress_knows_at_its_next_look(provider: Provider) -> None:
    book = ProviderBook()
    book.refresh()
    assert not book.refresh()
    import_certificate(provider=provider, pem=PEM, file_name=NAME, now=NOW)
    assert book.refresh()
    known = book.named("ses")
    assert known is not None
    assert [secret.value for secret in known.secrets_at(int(NOW.timestamp() * 1e6))] == [f"{NAME}\n{PEM.strip()}"]


def test_the_same_certificate_twice_is_one(provider: Provider) -> None:
    for _ in range(2):
        import_certificate(provider=provider, pem=PEM, file_name=NAME, now=NOW)
    assert ProviderCertificate.objects.count() == 1


SHORT = rsa.generate_private_key(public_exponent=65537, key_size=1024)  # noqa: S505  (to be refused)
WRONG = {
    "no certificate": ("hello", "not one certificate"),
    "two": (PEM + PEM, "not one certificate"),
    "with its private key": (PEM + pem_of(RSA_KEY), "without a key"),
    "of somebody else": (certified(RSA_KEY, name="sns.example.com"), "it is for sns.example.com"),
    "over": (certified(RSA_KEY, days=-1), "is over since"),
    "with a short key": (certified(SHORT), "shorter than 2048"),
    "broken": (PEM.replace("M", "N"), "no certificate can be read"),
}


@pytest.mark.parametrize("which", WRONG)
def test_what_is_no_certificate_of_sns_is_refused_with_what_a_right_one_is(
    which: str, provider: Provider, tmp_path: Path
) -> None:
    text, hint = WRONG[which]
    status, said = run("import", pem_file(tmp_path, text))
    assert (status, hint in said) == (1, True), said
    assert "PRIVATE" not in said
    assert not ProviderCertificate.objects.exists()


def test_a_mistake_at_the_command_is_told(provider: Provider, tmp_path: Path) -> None:
    add_provider(SCHEMES["stripe"])
    file = pem_file(tmp_path)
    assert run("import")[0] == 2
    assert run("import", tmp_path / "absent.pem")[0] == 1
    assert "--as" in run("import", pem_file(tmp_path, name="a cert.pem"))[1]
    assert "no provider is called nobody" in run("import", file, name="nobody")[1]
    assert "only ses has certificates" in run("import", file, name="stripe")[1]
    assert not ProviderCertificate.objects.exists()


def test_the_file_may_have_another_name_than_the_certificate(provider: Provider, tmp_path: Path) -> None:
    assert run("import", pem_file(tmp_path, name="cert.pem"), file_name=NAME)[0] == 0
    assert ProviderCertificate.objects.get().file_name == NAME


def confirmation() -> Request:
    fields = {
        "Type": "SubscriptionConfirmation",
        "MessageId": "165545c9-2a5c-472c-8df2-7ff2be2b3b1b",
        "Token": "2336412f37",
        "Message": "You have chosen to subscribe.",
        "SubscribeURL": "https://sns.us-east-1.amazonaws.com/?Action=ConfirmSubscription&Token=2336412f37",
    }
    return SES.request(json.dumps(fields).encode())


def test_a_subscription_confirmation_is_stored_with_its_url_for_an_operator_and_nobody_is_called(
    provider: Provider, lanes: LaneKit, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    import_certificate(provider=provider, pem=PEM, file_name=NAME, now=NOW)
    load_book(monkeypatch)
    with caplog.at_level(logging.INFO):
        answer = confirmation().send()
    assert answer.status in range(200, 300)
    for lane in range(LANES):
        lanes.drain(lane)
    event = Event.objects.get()
    assert (event.event_type, event.kind) == ("SubscriptionConfirmation", "other")
    assert event.payload["SubscribeURL"].startswith("https://sns.us-east-1.amazonaws.com/")
    assert "2336412f37" not in caplog.text
    assert confirmation().send().json()["status"] == "duplicate"


def test_a_key_that_is_not_rsa_verifies_nothing() -> None:
    with pytest.raises(ConfigurationError):
        certificate_facts(pem_of(ec.derive_private_key(1, ec.SECP256R1())))
