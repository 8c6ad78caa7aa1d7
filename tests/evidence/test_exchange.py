"""A request goes to the address that was resolved, over TLS to whom the certificate names, and nowhere else."""

from __future__ import annotations

from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

from evidence.publishing.exchange import Answer, Broken, Limits, exchange
from evidence.sends import Destination
from tests.support.tls import certificate, server_context

NAME = "evidence.example.com"


class _Handler(BaseHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        return

    def do_PUT(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(201)
        self.send_header("X-Host", self.headers["Host"])
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


@pytest.fixture
def tls_port(tmp_path: Path) -> Iterator[int]:
    """A server on loopback that has a certificate of its own making for NAME."""
    context = server_context(certificate(tmp_path, NAME))
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    server.daemon_threads = True
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield server.server_address[1]
    server.shutdown()
    server.server_close()
    thread.join()


def put(port: int, *, host: str = NAME, addresses: tuple[str, ...] = ("127.0.0.1",)) -> Answer:
    destination = Destination(scheme="https", host=host, port=port, addresses=addresses, path="/")
    limits = Limits(connect_seconds=2, silence_seconds=2, answer_seconds=5)
    return exchange(destination, method="PUT", path="/x", headers={}, chunks=[b"abc"], size_bytes=3, limits=limits)


def test_the_name_is_asked_of_the_certificate_and_no_longer_of_a_resolver(
    tls_port: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "certificate.pem"))
    answer = put(tls_port)  # the name resolves nowhere: only the address can have led there
    assert (answer.status, answer.body, answer.headers["x-host"]) == (201, b"abc", f"{NAME}:{tls_port}")


def test_an_address_where_nobody_is_gives_way_to_the_next(
    tls_port: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "certificate.pem"))
    assert put(tls_port, addresses=("127.0.0.2", "127.0.0.1")).status == 201


def test_a_certificate_of_another_name_or_of_nobody_known_is_refused(
    tls_port: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(Broken, match="TLS failed: self-signed certificate"):
        put(tls_port)
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "certificate.pem"))
    with pytest.raises(Broken, match="TLS failed: Hostname mismatch"):
        put(tls_port, host="other.example.com")
