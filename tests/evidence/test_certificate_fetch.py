"""A certificate of SNS is fetched from Amazon's host alone, never in OBSERVER, and verifies messages afterwards."""

from __future__ import annotations

from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from autocom.kernel.clock import us_of
from autocom.kernel.errors import AutocomError, ConfigurationError
from evidence import certificate_fetch, jobs, sends
from evidence.audit import Act
from evidence.certificate_fetch import NotFetched, fetch, fetch_wanted
from evidence.models import AuditEntry
from evidence.modes import Mode
from evidence.sends import Destination, ExternalSendForbidden
from ingestion.models import ProviderCertificate, WantedCertificate
from ingestion.provider_book import ProviderBook
from ingestion.worker import PERIODIC
from tests.console.rows import ago, provider_row
from tests.support.schemes import RSA_KEY, TOPIC, certified
from tests.support.tls import certificate, server_context

pytestmark = pytest.mark.django_db(transaction=True)

HOST = "sns.us-east-1.amazonaws.com"
NAME = f"SimpleNotificationService-{'0a' * 16}.pem"
URL = f"https://{HOST}/{NAME}"
ELSEWHERE = [
    f"http://{HOST}/{NAME}",
    f"https://{HOST}:8443/{NAME}",
    f"https://{HOST}/other/{NAME}",
    f"https://{HOST}/{NAME}?Action=ListTopics",
    f"https://{HOST}/cert.pem",
    f"https://{HOST}.example.com/{NAME}",
    f"https://sns.us-east-1.amazonaws.com.cn/{NAME}",
    f"https://bucket.s3.amazonaws.com/{NAME}",
    f"https://sns.us-east-1.amazonaws.com@example.com/{NAME}",
    f"https://127.0.0.1/{NAME}",
]


class Amazon(ThreadingHTTPServer):
    """SNS's host, with a certificate of the test's own authority."""

    daemon_threads = True
    body: bytes = b""
    status = 200
    asked: list[str]


class _Handler(BaseHTTPRequestHandler):
    server: Amazon

    def log_message(self, *_: object) -> None:
        return

    def do_GET(self) -> None:
        self.server.asked.append(f"{self.headers['Host']} {self.path}")
        self.send_response(self.server.status)
        self.send_header("Location", "http://127.0.0.1:1/elsewhere")
        self.send_header("Content-Length", str(len(self.server.body)))
        self.end_headers()
        self.wfile.write(self.server.body)


@pytest.fixture
def amazon(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Amazon]:
    path = certificate(tmp_path, HOST)
    monkeypatch.setenv("SSL_CERT_FILE", str(path))
    context = server_context(path)
    server = Amazon(("127.0.0.1", 0), _Handler)
    server.asked = []
    server.body = certified(RSA_KEY).encode()
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def limited(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sends, "current_mode", lambda: Mode.LIMITED)


def wanted(url: str = URL, **more: Any) -> WantedCertificate:
    provider = provider_row("mail", scheme="ses", options={"topic_arns": [TOPIC]})
    seen = {"first_seen_at": ago(hours=1), "last_seen_at": ago(minutes=1)} | more
    return WantedCertificate.objects.create(provider=provider, url=url, count=3, **seen)


def at(server: Amazon) -> Any:
    """The name's look-up, which leads to the test's server."""
    return lambda url: Destination(
        scheme="https",
        host=url.split("/")[2],
        port=server.server_address[1],
        addresses=("127.0.0.1",),
        path=f"/{url.partition('amazonaws.com/')[2]}",
    )


def test_the_certificate_is_stored_on_record_and_the_ingress_verifies_with_it_from_then_on(
    amazon: Amazon, limited: None
) -> None:
    wanted()
    assert fetch_wanted(look_up=at(amazon)) == 1
    row = ProviderCertificate.objects.get()
    assert (row.file_name, row.pem) == (NAME, certified_pem(amazon))
    assert not WantedCertificate.objects.exists()
    entry = AuditEntry.objects.filter(act=Act.CERTIFICATE_IMPORTED.value).latest("number")
    assert (entry.actor, entry.facts["sha256"], entry.facts["fetched_from"]) == ("certificates", row.sha256, URL)
    book = ProviderBook()
    book.refresh()
    known = book.named("mail")
    assert known is not None
    assert any(row.pem in secret.value for secret in known.secrets_at(us_of(ago())))
    assert len(amazon.asked) == 1
    assert amazon.asked[0].endswith(f" /{NAME}")


def certified_pem(server: Amazon) -> str:
    return server.body.decode().strip()


def test_in_observer_nobody_is_asked_and_the_refusal_is_on_record(amazon: Amazon) -> None:
    row = wanted()
    with pytest.raises(ExternalSendForbidden):
        fetch(row, look_up=at(amazon))
    assert amazon.asked == []
    (entry,) = AuditEntry.objects.filter(act=Act.EXTERNAL_SEND_REFUSED.value, actor="certificates")
    assert entry.subject == f"certificate to {HOST}"


@pytest.mark.parametrize("url", ELSEWHERE)
def test_no_address_but_a_signing_certificate_of_sns_is_ever_asked(url: str, limited: None) -> None:
    def look_up(asked: str) -> Destination:
        raise AssertionError(f"{asked} was looked up")

    with pytest.raises(NotFetched):
        fetch(wanted(url), look_up=look_up)


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (404, b""),
        (302, certified(RSA_KEY).encode()),
        (200, b"not a certificate"),
        (200, certified(RSA_KEY, name="mallory.example.com").encode()),
        (200, certified(RSA_KEY, days=-1).encode()),
    ],
)
def test_what_is_no_certificate_in_use_of_sns_is_not_taken_and_stays_wanted(
    amazon: Amazon, limited: None, status: int, body: bytes
) -> None:
    amazon.status, amazon.body = status, body
    row, entry_count = wanted(), AuditEntry.objects.count()
    with pytest.raises((NotFetched, ConfigurationError)):
        fetch(row, look_up=at(amazon))
    assert fetch_wanted(look_up=at(amazon)) == 0
    assert not ProviderCertificate.objects.exists()
    assert WantedCertificate.objects.get() == row
    assert AuditEntry.objects.count() == entry_count


def test_a_host_that_cannot_show_amazons_name_is_not_believed(
    amazon: Amazon, limited: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SSL_CERT_FILE")
    with pytest.raises(AutocomError, match="TLS failed"):
        fetch(wanted(), look_up=at(amazon))
    assert amazon.asked == []


def test_what_nobody_asks_for_any_more_is_left_alone_and_no_thread_starts(limited: None) -> None:
    wanted(last_seen_at=ago(hours=3))
    assert not jobs.fetch_certificates()
    assert PERIODIC[jobs.fetch_certificates] == 30
    assert not certificate_fetch._AT_WORK.locked()
