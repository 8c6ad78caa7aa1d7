"""One HTTP request to a resolved destination: no redirect, no proxy, no look-up, and an end in any case.

`http.client` and not a library with pools, retries and redirects: all three are decided here.
"""

from __future__ import annotations

import http.client
import socket
import ssl
import threading
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import ClassVar, override

from evidence.errors import EvidenceError
from evidence.sends import Destination

CONNECT_SECONDS = 10.0
SILENCE_SECONDS = 30.0  # between two bytes, either way
ANSWER_SECONDS = 60.0  # for what comes beside the body's own time
SLOWEST_BYTES_A_SECOND = 32_768
ANSWER_LIMIT_BYTES = 65_536


class Broken(EvidenceError):
    """The connection failed or took too long; what the endpoint kept of the body is not known."""

    code = "publication_broken_off"
    retryable: ClassVar[bool] = True


@dataclass(frozen=True, slots=True)
class Answer:
    """Header names are in lower case; of a header that came twice the first counts."""

    status: int
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How long a request may take."""

    connect_seconds: float = CONNECT_SECONDS
    silence_seconds: float = SILENCE_SECONDS
    answer_seconds: float = ANSWER_SECONDS

    def total_seconds(self, size_bytes: int) -> float:
        return self.answer_seconds + size_bytes / SLOWEST_BYTES_A_SECOND


def exchange(
    destination: Destination,
    *,
    method: str,
    path: str,
    headers: Mapping[str, str],
    chunks: Iterable[bytes] = (),
    size_bytes: int = 0,
    limits: Limits,
) -> Answer:
    """The endpoint's answer, also one that came before the body was through. Raises Broken."""
    try:
        connection = _connection(destination, limits)
        with _ending_after(connection, limits.total_seconds(size_bytes)):
            _send(connection, destination, method, path, {**headers, "Content-Length": str(size_bytes)}, chunks)
            return _answer(connection)
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise Broken(f"{destination.host}: {_told(error)}") from error


class _Fixed(http.client.HTTPConnection):
    """Connects to the addresses that were resolved, whatever the name says by now."""

    def __init__(self, destination: Destination, limits: Limits) -> None:
        super().__init__(destination.host, destination.port)
        self._destination, self._limits = destination, limits

    @override
    def connect(self) -> None:
        plain = _connected(self._destination, self._limits)
        self.sock = plain
        if self._destination.scheme == "https":
            self.sock = ssl.create_default_context().wrap_socket(plain, server_hostname=self._destination.host)
        self.sock.settimeout(self._limits.silence_seconds)


def _connected(destination: Destination, limits: Limits) -> socket.socket:
    last: OSError = OSError("no address")
    for address in destination.addresses:
        try:
            return socket.create_connection((address, destination.port), timeout=limits.connect_seconds)
        except OSError as error:
            last = error
    raise last


def _connection(destination: Destination, limits: Limits) -> http.client.HTTPConnection:
    connection = _Fixed(destination, limits)
    connection.connect()
    return connection


@contextmanager
def _ending_after(connection: http.client.HTTPConnection, seconds: float) -> Iterator[None]:
    """A timeout of sockets is one of silence: who sends a byte now and then could hold us for ever."""
    sock = connection.sock
    timer = threading.Timer(seconds, _cut, (sock,))
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
        connection.close()


def _cut(sock: socket.socket) -> None:
    try:
        sock.shutdown(socket.SHUT_RDWR)
    except OSError:  # it has ended by itself
        return


def _send(
    connection: http.client.HTTPConnection,
    destination: Destination,
    method: str,
    path: str,
    headers: Mapping[str, str],
    chunks: Iterable[bytes],
) -> None:
    connection.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
    for name, value in {"Host": destination.authority, "Connection": "close", **headers}.items():
        connection.putheader(name, value)
    connection.endheaders()
    try:
        for chunk in chunks:
            connection.send(chunk)
    except (BrokenPipeError, ConnectionResetError):
        return  # who refuses early answers and hangs up: the answer, if there is one, says why


def _answer(connection: http.client.HTTPConnection) -> Answer:
    with connection.getresponse() as response:
        headers: dict[str, str] = {}
        for name, value in response.getheaders():
            headers.setdefault(name.lower(), value)
        return Answer(status=response.status, headers=headers, body=response.read(ANSWER_LIMIT_BYTES))


def _told(error: BaseException) -> str:
    """Without the endpoint's words, which http.client's errors may quote."""
    match error:
        case TimeoutError():
            return "no answer in time"
        case ssl.SSLError():
            return f"TLS failed: {getattr(error, 'verify_message', '') or error.reason}"
        case OSError(strerror=str(reason)):
            return reason
    return f"the connection ended or the answer is no HTTP ({type(error).__name__})"
