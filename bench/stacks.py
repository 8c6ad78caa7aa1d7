"""The two stacks under test: how each is started, emptied and asked for its last commit.

Both run on the same two servers.
"""

from __future__ import annotations

import os
import secrets
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import psycopg
import redis

from autocom.kernel.signing_keys import new_signing_key
from autocom.local_servers import addresses
from autocom.local_servers.servers import LocalServers

ROOT = Path(__file__).resolve().parent.parent
PEER = ROOT / "bench" / "peer"
START_LIMIT_SECONDS = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class Servers:
    """Where PostgreSQL and Valkey listen, and the secrets that both stacks verify with."""

    db_url: str
    socket_dir: Path
    redis_url: str
    bearer: str
    hmac_secret: str
    base: Path


class Stack(Protocol):
    @property
    def name(self) -> str: ...

    @property
    def port(self) -> int: ...

    def ports(self) -> Sequence[int]: ...

    def environ(self, servers: Servers) -> Mapping[str, str]: ...

    def commands(self) -> Mapping[str, list[str]]: ...

    def ready_urls(self) -> Sequence[str]: ...

    def prepare(self, servers: Servers) -> None: ...

    def stored(self, connection: psycopg.Connection) -> tuple[int, float]: ...


@contextmanager
def own_servers(stacks: Sequence[Stack], *, prefix: str = "autocom-bench-") -> Iterator[Servers]:
    """A PostgreSQL and a Valkey of this run alone, prepared for the stacks; gone afterwards, with their data."""
    busy = [str(port) for stack in stacks for port in stack.ports() if not is_free(port)]
    if busy:
        raise SystemExit(f"bench: port {', '.join(busy)} is in use: stop what listens there")
    with tempfile.TemporaryDirectory(prefix=prefix) as name:
        base = Path(name)
        base.chmod(0o755)  # the servers' own user must get through to its directories
        local = LocalServers.start(base)
        try:
            servers = Servers(
                db_url=local.db_url,
                socket_dir=addresses.run_dir(base),
                redis_url=local.redis_url,
                bearer=secrets.token_hex(24),
                hmac_secret=secrets.token_hex(24),
                base=base,
            )
            for stack in stacks:
                stack.prepare(servers)
            yield servers
        finally:
            local.stop()


@dataclass(frozen=True, slots=True)
class Autocom:
    """This project as `manage.py up` runs it, with the console only where it is asked for."""

    workers: int = 2
    name: str = "autocom"
    port: int = 18001
    console_port: int | None = None
    signing_key: str = field(default_factory=new_signing_key, repr=False)  # without one nothing would be sealed

    def ports(self) -> Sequence[int]:
        return [port for port in (self.port, self.console_port) if port is not None]

    def environ(self, servers: Servers) -> Mapping[str, str]:
        return {
            "DB_URL": servers.db_url,
            "REDIS_URL": servers.redis_url,
            "SECRET_KEY": servers.hmac_secret[::-1],
            "LOG_SIGNING_KEY": self.signing_key,
            "INGRESS_PORT": str(self.port),
            "AUTOCOM_DATA_DIR": str(servers.base),
            **({} if self.console_port is None else {"CONSOLE_PORT": str(self.console_port)}),
        }

    def commands(self) -> Mapping[str, list[str]]:
        manage = [sys.executable, str(ROOT / "manage.py")]
        return {
            "ingress": [*manage, "ingress"],
            **{f"worker {n + 1}": [*manage, "worker"] for n in range(self.workers)},
            "ops worker": [*manage, "worker", "--queue", "ops"],
            "cron": [*manage, "cron"],
            **({} if self.console_port is None else {"console": [*manage, "console"]}),
        }

    def ready_urls(self) -> Sequence[str]:
        return [f"http://127.0.0.1:{port}/readyz" for port in self.ports()]

    def prepare(self, servers: Servers) -> None:
        environ = {**os.environ, **environ_of(self, servers)}
        subprocess.run([sys.executable, str(ROOT / "manage.py"), "migrate", "-v", "0"], env=environ, check=True)

    def stored(self, connection: psycopg.Connection) -> tuple[int, float]:
        row = connection.execute(
            "SELECT (SELECT count(*) FROM ingestion_event), extract(epoch FROM max(committed_at)) FROM ingestion_batch"
        ).fetchone()
        return (int(row[0]), float(row[1] or 0)) if row else (0, 0.0)


@dataclass(frozen=True, slots=True)
class Peer:
    """Fastify + BullMQ + pg: one ingress process, one worker, concurrency 50."""

    name: str = "fastify+bullmq"
    port: int = 18101

    def ports(self) -> Sequence[int]:
        return [self.port]

    def environ(self, servers: Servers) -> Mapping[str, str]:
        return {
            "NODE_ENV": "production",
            "PORT": str(self.port),
            "REDIS_URL": servers.redis_url,
            "PGHOST": str(servers.socket_dir),
            "PGUSER": "app",
            "PGDATABASE": "app",
        }

    def commands(self) -> Mapping[str, list[str]]:
        return {"ingress": ["node", str(PEER / "ingress.js")], "worker": ["node", str(PEER / "worker.js")]}

    def ready_urls(self) -> Sequence[str]:
        return [f"http://127.0.0.1:{self.port}/"]

    def prepare(self, servers: Servers) -> None:
        subprocess.run(["npm", "ci", "--no-audit", "--no-fund", "--silent"], cwd=PEER, check=True)
        with psycopg.connect(servers.db_url, autocommit=True) as connection:
            connection.execute((PEER / "schema.sql").read_text().encode())

    def stored(self, connection: psycopg.Connection) -> tuple[int, float]:
        row = connection.execute("SELECT count(*), extract(epoch FROM max(committed_at)) FROM peer_event").fetchone()
        return (int(row[0]), float(row[1] or 0)) if row else (0, 0.0)


@dataclass(slots=True)
class Running:
    """A stack at work."""

    stack: Stack
    servers: Servers
    processes: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    def cpu_seconds(self) -> dict[str, float]:
        """User and system time so far of each process with its children, and of the two servers."""
        found = {name: tree_cpu_seconds(process.pid) for name, process in self.processes.items()}
        for name, pid in server_pids(self.servers).items():
            found[name] = tree_cpu_seconds(pid)
        return found


@contextmanager
def running(stack: Stack, servers: Servers) -> Iterator[Running]:
    """The stack's processes, up and answering; gone afterwards. Redis and the tables start empty."""
    empty(servers)
    state = Running(stack=stack, servers=servers)
    environ = {**os.environ, **environ_of(stack, servers)}
    log_path = servers.base / f"bench-{stack.name}.log"
    try:
        with log_path.open("ab") as log:
            for name, command in stack.commands().items():
                state.processes[name] = subprocess.Popen(command, env=environ, stdout=log, stderr=log, cwd=ROOT)
        _wait_until_ready(stack, state, log_path)
        yield state
    finally:
        for process in state.processes.values():
            process.send_signal(signal.SIGTERM)
        for process in state.processes.values():
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def empty(servers: Servers) -> None:
    redis.Redis.from_url(servers.redis_url).flushall()
    with psycopg.connect(servers.db_url, autocommit=True) as connection:
        rows = connection.execute(
            "SELECT tablename FROM pg_tables WHERE schemaname = 'public' "
            "AND (tablename LIKE 'ingestion_%' OR tablename = 'peer_event')"
        ).fetchall()
        if rows:
            connection.execute(("TRUNCATE " + ", ".join(f'"{name}"' for (name,) in rows) + " CASCADE").encode())
        connection.execute("CHECKPOINT")


def _wait_until_ready(stack: Stack, state: Running, log_path: Path) -> None:
    deadline = time.monotonic() + START_LIMIT_SECONDS
    missing = list(stack.ready_urls())
    while time.monotonic() < deadline:
        if any(process.poll() is not None for process in state.processes.values()):
            break
        missing = [url for url in missing if not _answers(url)]
        if not missing:
            return
        time.sleep(0.1)
    raise RuntimeError(f"{stack.name} did not start; its log ends with\n{log_path.read_text()[-2_000:]}")


def _answers(url: str) -> bool:
    """Ready, or without a page for that, as the peer."""
    try:
        with urllib.request.urlopen(url, timeout=1):  # noqa: S310  (our own address)
            return True
    except urllib.error.HTTPError as error:
        return error.code == 404
    except OSError:
        return False


def environ_of(stack: Stack, servers: Servers) -> dict[str, str]:
    """What the stack's processes are given beside the environment of this one."""
    return {
        **stack.environ(servers),
        "WEBHOOK_BEARER_KEY": servers.bearer,
        "WEBHOOK_HMAC_SECRET": servers.hmac_secret,
    }


def tree_cpu_seconds(pid: int) -> float:
    """User and system seconds of a process, its living children and the children it has reaped. Linux."""
    ticks = os.sysconf("SC_CLK_TCK")
    total, pending = 0.0, [pid]
    while pending:
        current = pending.pop()
        try:
            fields = Path(f"/proc/{current}/stat").read_text().rpartition(")")[2].split()
            children = Path(f"/proc/{current}/task/{current}/children").read_text().split()
        except OSError:
            continue
        total += sum(int(value) for value in fields[11:15]) / ticks
        pending += [int(child) for child in children]
    return total


def server_pids(servers: Servers) -> dict[str, int]:
    with psycopg.connect(servers.db_url) as connection:
        row = connection.execute("SELECT pg_read_file('postmaster.pid')").fetchone()
    info = redis.Redis.from_url(servers.redis_url).info("server")
    return {"postgresql": int(str(row[0]).split()[0]) if row else 0, "valkey": int(info["process_id"])}


def is_free(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) != 0
