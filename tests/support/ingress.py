"""The real `manage.py ingress` on a free port, for tests.

And raw HTTP, so that a test may send what no client library would.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psutil
import psycopg
import redis
from django.conf import settings
from django.core.management import call_command
from django.db import connection
from psycopg import sql

from autocom.local_servers.servers import LocalServers
from ingestion.buffer.append import EntryKind, LaneEntry
from ingestion.buffer.store import LaneBuffer, redis_client
from tests.support.senders import signed_headers

PROJECT = Path(__file__).resolve().parents[2]
START_SECONDS = 60.0  # two worker processes import Django on a machine that runs other tests too
STOP_SECONDS = 15.0
ANSWER_SECONDS = 10.0
NO_DATABASE = "postgresql://nobody@127.0.0.1:1/none?connect_timeout=1"

Headers = Sequence[tuple[str | bytes, str | bytes]]


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back. `status` 0: the connection ended without an answer."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    seconds: float = 0.0

    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def code(self) -> str:
        return str(self.json()["code"]) if self.headers.get("content-type") == "application/problem+json" else ""


@dataclass(slots=True)
class Wire:
    """One connection, byte by byte."""

    sock: socket.socket
    opened_at: float = field(default_factory=time.monotonic)
    _left: bytes = b""  # of the answer after the one that was read

    def send(self, data: bytes) -> None:
        self.sock.sendall(data)

    def read(self) -> Answer:
        """The next answer on the connection."""
        received, self._left = self._left, b""
        while b"\r\n\r\n" not in received:
            if not (more := self._more()):
                return Answer(0, {}, received, time.monotonic() - self.opened_at)
            received += more
        head, _, body = received.partition(b"\r\n\r\n")
        first, *lines = head.decode("latin-1").split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        length = int(headers.get("content-length", 0))
        while len(body) < length:
            if not (more := self._more()):
                break
            body += more
        body, self._left = body[:length], body[length:]
        return Answer(int(first.split(" ")[1]), headers, body, time.monotonic() - self.opened_at)

    def is_closed_within(self, seconds: float) -> bool:
        """True when the server ends the connection in this time."""
        self.sock.settimeout(seconds)
        try:
            while self.sock.recv(65_536):
                pass
        except TimeoutError:
            return False
        except OSError:
            return True
        return True

    def close(self) -> None:
        self.sock.close()

    def _more(self) -> bytes:
        try:
            return self.sock.recv(65_536)
        except ConnectionError:
            return b""


def request_bytes(body: bytes, headers: Headers, *, method: str = "POST", path: str = "/webhooks/default") -> bytes:
    """The request exactly as given: no header is added but Host."""
    lines = [f"{method} {path} HTTP/1.1".encode(), b"Host: ingress"]
    lines += [_latin(name) + b": " + _latin(value) for name, value in headers]
    return b"\r\n".join(lines) + b"\r\n\r\n" + body


def signed_request(body: bytes, *, path: str = "/webhooks/default", **signing: Any) -> bytes:
    """A good request, with its length."""
    headers = [*signed_headers(body, **signing).items(), ("Content-Length", str(len(body)))]
    return request_bytes(body, headers, path=path)


def _latin(text: str | bytes) -> bytes:
    return text if isinstance(text, bytes) else text.encode("latin-1")


@dataclass(slots=True)
class Ingress:
    """A running ingress. Its log is a file, so that nothing blocks on a full pipe."""

    process: subprocess.Popen[bytes]
    port: int
    log_path: Path

    def connect(self) -> Wire:
        return Wire(socket.create_connection(("127.0.0.1", self.port), timeout=ANSWER_SECONDS))

    def send(self, data: bytes) -> Answer:
        """One request on a connection of its own."""
        wire = self.connect()
        try:
            wire.send(data)
            return wire.read()
        except ConnectionError:
            return Answer(0, {}, b"")
        finally:
            wire.close()

    def post(self, body: bytes, **signing: Any) -> Answer:
        return self.send(signed_request(body, **signing))

    def get(self, path: str) -> Answer:
        return self.send(request_bytes(b"", [], method="GET", path=path))

    def workers(self) -> list[psutil.Process]:
        """The processes that serve, without helpers of the multiprocessing module."""
        return [
            child
            for child in psutil.Process(self.process.pid).children()
            if child.status() != psutil.STATUS_ZOMBIE and "resource_tracker" not in " ".join(child.cmdline())
        ]

    def log(self) -> str:
        return self.log_path.read_text(errors="replace")

    def stop(self) -> int:
        """Ends it as its supervisor would; its exit status."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                for child in psutil.Process(self.process.pid).children(recursive=True):
                    child.kill()
                self.process.kill()
                self.process.wait()
        return self.process.returncode


@contextmanager
def running_ingress(
    *, redis_url: str, db_url: str = NO_DATABASE, workers: int = 1, **environ: str
) -> Iterator[Ingress]:
    """An ingress that answers, stopped at the end.

    Secrets are the tests' own; everything else comes from the arguments.
    """
    directory = Path(tempfile.mkdtemp(prefix="autocom-ingress-"))
    port = free_port()
    wanted = {
        **{name: os.environ[name] for name in ("SECRET_KEY", "WEBHOOK_BEARER_KEY", "WEBHOOK_HMAC_SECRET", "LANES")},
        "DJANGO_SETTINGS_MODULE": "autocom.settings",
        "AUTOCOM_DATA_DIR": str(directory),
        "AUTOCOM_SUPERVISED": str(os.getpid()),  # ends with the tests, however they end
        "REDIS_URL": redis_url,
        "DB_URL": db_url,
        "INGRESS_PORT": str(port),
        "INGRESS_WORKERS": str(workers),
        "PATH": os.environ.get("PATH", ""),
        **environ,
    }
    log_path = directory / "ingress.log"
    with log_path.open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, str(PROJECT / "manage.py"), "ingress"], cwd=PROJECT, env=wanted, stdout=log, stderr=log
        )
    ingress = Ingress(process=process, port=port, log_path=log_path)
    try:
        _await_start(ingress)
        yield ingress
    finally:
        ingress.stop()
        shutil.rmtree(directory, ignore_errors=True)


def _await_start(ingress: Ingress) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and ingress.process.poll() is None:
        try:
            if ingress.get("/healthz").status == 200:
                return
        except OSError:
            pass
        time.sleep(0.05)
    raise AssertionError(f"the ingress did not start:\n{ingress.log()[-4_000:]}")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass(slots=True)
class OwnValkey:
    """A Valkey that a test may stall and kill. It syncs each write, as in production."""

    servers: LocalServers

    @property
    def url(self) -> str:
        return self.servers.redis_url

    @property
    def pid(self) -> int:
        assert self.servers.valkey is not None
        assert self.servers.valkey.pid is not None
        return self.servers.valkey.pid

    @property
    def client(self) -> redis.Redis:
        return redis_client(self.url, timeout_seconds=5)

    @property
    def lanes(self) -> LaneBuffer:
        return LaneBuffer(client=self.client)

    def entries(self) -> list[tuple[int, LaneEntry]]:
        """Everything that waits, with its lane, each lane in its order."""
        return [
            (lane, entry)
            for lane in range(settings.AUTOCOM.lanes)
            for entry in self.lanes.read(lane, limit_count=100_000)
        ]

    def stored_ids(self) -> list[str]:
        """The message id of every entry that will become an event, not of duplicates."""
        return [json.loads(entry.meta)["message_id"] for _, entry in self.entries() if entry.kind is EntryKind.EVENT]

    def empty(self) -> None:
        self.client.flushdb()

    @contextmanager
    def stalled(self) -> Iterator[None]:
        """It is there and says nothing."""
        pid = self.pid
        os.kill(pid, signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(pid, signal.SIGCONT)

    def kill(self) -> None:
        """Gone, as after kill -9, and reaped."""
        assert self.servers.valkey is not None
        os.kill(self.pid, signal.SIGKILL)
        deadline = time.monotonic() + 10
        while self.servers.valkey.is_alive() and time.monotonic() < deadline:
            time.sleep(0.01)

    def revive(self) -> None:
        """Answers again, with what it had on disk."""
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            if any("is back" in sentence for sentence in self.servers.revive()):
                return
        raise AssertionError("Valkey did not come back")


@contextmanager
def own_valkey() -> Iterator[OwnValkey]:
    base = Path(tempfile.mkdtemp(prefix="autocom-valkey-", dir="/tmp"))
    base.chmod(0o755)  # its own user must get through
    servers = LocalServers.start(base, postgres=False)
    try:
        yield OwnValkey(servers)
    finally:
        servers.stop()
        shutil.rmtree(base, ignore_errors=True)


@contextmanager
def own_database(name: str) -> Iterator[str]:
    """The URL of an empty database with all tables, for a process that writes to it.

    Call with the database unblocked.
    """
    original = connection.settings_dict["NAME"]
    connection.close()
    with psycopg.connect(settings.AUTOCOM.db_url, autocommit=True) as admin:
        drop = sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name))
        admin.execute(drop)
        admin.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        try:
            connection.settings_dict["NAME"] = name
            call_command("migrate", verbosity=0)
        finally:
            connection.close()
            connection.settings_dict["NAME"] = original
        try:
            yield urlsplit(settings.AUTOCOM.db_url)._replace(path=f"/{name}").geturl()
        finally:
            admin.execute(drop)
