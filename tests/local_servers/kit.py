"""What the tests of the local servers share."""

import json
import os
import subprocess
import sys
import textwrap
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg
import redis

from autocom.local_servers.server import START_TIMEOUT, LocalServer
from autocom.local_servers.servers import LocalServers

PROJECT = Path(__file__).resolve().parents[2]
PATIENCE = START_TIMEOUT
PROC = Path("/proc")


@dataclass(slots=True)
class Kit:
    """Starts servers on one base and stops them after the test."""

    base: Path
    empty_cluster: Path | None = None  # copied into the base before PostgreSQL is first started on it
    started: list[LocalServers] = field(default_factory=list)

    def start(self, *, durable: bool = True, postgres: bool = True, valkey: bool = True) -> LocalServers:
        if postgres:
            self.use_before()
        servers = LocalServers.start(self.base, durable=durable, postgres=postgres, valkey=valkey)
        self.started.append(servers)
        return servers

    def use_before(self) -> None:
        """Afterwards the base is as after a first start and a stop of PostgreSQL."""
        if self.empty_cluster is not None and not (self.base / self.empty_cluster.name).exists():
            subprocess.run(["cp", "-a", str(self.empty_cluster), str(self.base)], check=True)
            self.empty_cluster = None

    def processes(self) -> list[int]:
        return processes_of(self.base)

    def elsewhere(self, script: str) -> Any:
        """What the script prints as JSON in another process; see `spawn`."""
        return json.loads(self.spawn(script).communicate(timeout=60)[0])

    def spawn(self, script: str) -> subprocess.Popen[str]:
        """Another process that runs the script, with `base` and `LocalServers` defined."""
        head = (
            "import json, os, shutil, sys, time\n"
            "from pathlib import Path\n"
            "from autocom.local_servers.servers import LocalServers\n"
            f"base = Path({str(self.base)!r})\n"
        )
        return subprocess.Popen(
            [sys.executable, "-c", head + textwrap.dedent(script)],
            stdout=subprocess.PIPE,
            text=True,
            cwd="/",
            env=os.environ | {"PYTHONPATH": str(PROJECT)},
        )


def connected(servers: LocalServers) -> psycopg.Connection:
    return psycopg.connect(servers.db_url, autocommit=True, connect_timeout=5)


def keys(servers: LocalServers) -> redis.Redis:
    return redis.Redis.from_url(servers.redis_url, decode_responses=True)


def pid_of(server: LocalServer | None) -> int:
    assert server is not None
    assert server.pid is not None
    return server.pid


def processes_of(base: Path) -> list[int]:
    """Live processes with the base in their command line or work directory: postmaster, its children, Valkey."""
    if not PROC.exists():
        listed = subprocess.run(["ps", "-A", "-ww", "-o", "pid=,command="], capture_output=True, text=True, check=True)
        return [int(line.split()[0]) for line in listed.stdout.splitlines() if f"{base}/" in line]
    return [int(entry.name) for entry in PROC.iterdir() if entry.name.isdigit() and _belongs_to(entry, base)]


def _belongs_to(process: Path, base: Path) -> bool:
    try:
        command = (process / "cmdline").read_bytes()  # empty for a zombie
        return bool(command) and (
            os.fsencode(f"{base}/") in command or (process / "cwd").readlink().is_relative_to(base)
        )
    except OSError:
        return False
