"""PostgreSQL from its wheel: one cluster, one database, one unix socket."""

import re
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import override

import psycopg
from psycopg import sql

from autocom.local_servers import addresses
from autocom.local_servers.binaries import Runnable, postgres_wheel, runnable
from autocom.local_servers.cluster import check_cluster, make_cluster
from autocom.local_servers.errors import LocalServerError
from autocom.local_servers.owner import CLEAN_ENVIRON
from autocom.local_servers.processes import observe
from autocom.local_servers.server import (
    CONNECT_TIMEOUT_SECONDS,
    STOP_TIMEOUT,
    LocalServer,
    Presence,
    answers,
    end_process,
)

NAME = "pg"
SETTINGS = {
    "listen_addresses": "",
    "unix_socket_permissions": "0700",
    "max_connections": "100",
    "shared_buffers": "128MB",
    "max_parallel_workers_per_gather": "0",  # they need /dev/shm, of which a container has 64 MB
    "timezone": "UTC",
    "log_timezone": "UTC",
    "logging_collector": "off",
}
DURABILITY = ("fsync", "synchronous_commit", "full_page_writes")


class PostgresServer(LocalServer):
    """PostgreSQL of this base."""

    title = "PostgreSQL"
    log_name = "postgres"

    _program: Runnable | None = None

    @property
    def program(self) -> Runnable:
        if self._program is None:
            self._program = runnable(postgres_wheel(), owner=self.site.owner, copies=self.site.copies)
        return self._program

    @property
    @override
    def data_dir(self) -> Path:
        return self.site.base / f"{NAME}{self.program.version.major}"

    @property
    @override
    def socket_path(self) -> Path:
        return addresses.postgres_socket(self.site.run)

    @override
    def presence(self) -> Presence:
        if not answers(self.socket_path):
            return Presence.BUSY if self._live_postmaster() else Presence.ABSENT
        try:
            with self._connection(database="postgres") as connection:
                self._check_is_ours(connection)
                self._make_database(connection)
        except psycopg.OperationalError as error:  # 57P03 among them: starting, recovering, shutting down
            self.trouble = str(error).strip().replace("\n", " ")
            return Presence.BUSY
        return Presence.READY

    @override
    def prepare_data(self) -> None:
        if not check_cluster(self.data_dir, version=self.program.version):
            make_cluster(self.data_dir, program=self.program, site=self.site)

    @override
    def spawn(self, log_fd: int) -> subprocess.Popen[bytes]:
        durability = "on" if self.site.durable else "off"
        settings = SETTINGS | dict.fromkeys(DURABILITY, durability)
        command = [str(self.program.path), "-D", str(self.data_dir), "-k", str(self.site.run)]
        for name, value in settings.items():
            command += ["-c", f"{name}={value}"]
        return self.popen(command, log_fd=log_fd, extra_environ=self._way_round_stale_pid())

    @override
    def running_pid(self) -> int | None:
        return _pid_in(self.data_dir / "postmaster.pid")

    @override
    def is_worth_another_start(self, log: str) -> bool:
        return "is still in use" in log  # shared memory of a killed postmaster's children, who are about to notice

    @override
    def stop_started(self, process: subprocess.Popen[bytes]) -> None:
        # SIGINT: disconnect clients; SIGTERM would wait for them. SIGQUIT: recover at the next start; nothing is lost.
        if not end_process(process, signals=[(signal.SIGINT, STOP_TIMEOUT), (signal.SIGQUIT, timedelta(seconds=10))]):
            raise LocalServerError(
                f"PostgreSQL (pid {process.pid}) did not stop: see {self.site.log_path(self.log_name)}"
            )

    @override
    def stop_adopted(self) -> None:
        patience = STOP_TIMEOUT.total_seconds()
        done = subprocess.run(
            [
                str(self.program.path.with_name("pg_ctl")),
                "-D",
                str(self.data_dir),
                "-m",
                "fast",
                "-w",
                "-t",
                f"{patience:.0f}",
                "stop",
            ],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            cwd="/",
            env=CLEAN_ENVIRON,
            **self.site.owner.spawn_options(),
        )
        if not self.wait_gone(within=timedelta(seconds=1)):
            raise LocalServerError(f"PostgreSQL (pid {self.pid}) did not stop: {(done.stderr or done.stdout).strip()}")

    @contextmanager
    def _connection(self, *, database: str) -> Iterator[psycopg.Connection]:
        with psycopg.connect(
            host=str(self.site.run),
            port=addresses.POSTGRES_PORT,
            user=addresses.DATABASE_USER,
            dbname=database,
            connect_timeout=CONNECT_TIMEOUT_SECONDS,
            autocommit=True,
        ) as connection:
            yield connection

    def _check_is_ours(self, connection: psycopg.Connection) -> None:
        serves, fsync = _setting(connection, "data_directory"), _setting(connection, "fsync")
        if Path(serves) != self.data_dir:
            raise LocalServerError(
                f"a PostgreSQL that serves {serves} answers on {self.socket_path}: stop it, or set AUTOCOM_DATA_DIR to "
                "another directory."
            )
        if self.site.durable and fsync != "on":
            raise LocalServerError(
                f"the PostgreSQL that runs on {self.data_dir} was started without fsync, for tests: stop it, or set "
                "AUTOCOM_DATA_DIR to another directory."
            )

    def _make_database(self, connection: psycopg.Connection) -> None:
        name = addresses.DATABASE
        if connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [name]).fetchone() is None:
            connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))

    def _way_round_stale_pid(self) -> dict[str, str]:
        """After a crash PostgreSQL takes any live process of its user that now has the old pid for the old postmaster.

        A pid named in this variable is not; the check for shared memory still in use remains.
        """
        socket_lock = self.socket_path.with_name(f"{self.socket_path.name}.lock")
        if self._is_foreign(_pid_in(socket_lock)):
            socket_lock.unlink()  # no data, and ours: nobody else can enter the directory, and nobody listens
        pid = _pid_in(self.data_dir / "postmaster.pid")
        return {"PG_GRANDPARENT_PID": str(pid)} if self._is_foreign(pid) else {}

    def _is_foreign(self, pid: int | None) -> bool:
        """True for a process that exists, be it as a zombie, and is no postmaster of ours."""
        return pid is not None and observe(pid) is not None and not self._is_postmaster(pid)

    def _live_postmaster(self) -> bool:
        """True while a PostgreSQL has our data directory open, though it does not listen."""
        pid = _pid_in(self.data_dir / "postmaster.pid")
        if pid is None or not self._is_postmaster(pid):
            return False
        self.trouble = (
            f"the PostgreSQL with pid {pid} has the directory open but does not listen; end it with: kill -INT {pid}"
        )
        return True

    def _is_postmaster(self, pid: int) -> bool:
        """A postmaster works in its data directory: that tells ours from all other processes, other PostgreSQLs too."""
        process = observe(pid)
        return (
            process is not None
            and not process.is_zombie
            and process.command == "postgres"
            and process.cwd in {None, self.data_dir}
        )


def _setting(connection: psycopg.Connection, name: str) -> str:
    row = connection.execute("SELECT current_setting(%s)", [name]).fetchone()
    return row[0] if row is not None else ""


def _pid_in(lock_file: Path) -> int | None:
    """The pid on the first line of a PostgreSQL lock file; None without one."""
    try:
        first = re.match(r"-?(\d+)", lock_file.read_text(errors="replace"))
    except FileNotFoundError:
        return None
    return int(first[1]) if first else None
