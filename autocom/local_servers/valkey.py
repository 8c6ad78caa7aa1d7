"""Valkey from its wheel: everything it acknowledges is on disk, nothing is ever evicted."""

import os
import re
import signal
import subprocess
from datetime import timedelta
from pathlib import Path
from typing import override

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from autocom.local_servers import addresses
from autocom.local_servers.binaries import Runnable, Version, runnable, valkey_wheel
from autocom.local_servers.errors import LocalServerError, ServerGone
from autocom.local_servers.limits import VALKEY_MEMORY_BYTES
from autocom.local_servers.lock import locked_file
from autocom.local_servers.server import (
    CONNECT_TIMEOUT_SECONDS,
    STOP_TIMEOUT,
    LocalServer,
    Presence,
    answers,
    end_process,
)
from autocom.local_servers.site import make_private_dir

NAME = "valkey"
PROMISES = {"appendonly": "yes", "appendfsync": "always", "maxmemory-policy": "noeviction"}
SETTINGS = PROMISES | {
    "port": "0",
    "unixsocketperm": "700",
    "daemonize": "no",
    "save": "",
    "maxmemory": str(VALKEY_MEMORY_BYTES),
    "no-appendfsync-on-rewrite": "no",
    "aof-load-truncated": "yes",  # a write cut short by kill -9 was never acknowledged
}


class ValkeyServer(LocalServer):
    """Valkey of this base."""

    title = "Valkey"
    log_name = "valkey"

    _program: Runnable | None = None

    @property
    def program(self) -> Runnable:
        if self._program is None:
            self._program = runnable(valkey_wheel(), owner=self.site.owner, copies=self.site.copies)
        return self._program

    @property
    @override
    def data_dir(self) -> Path:
        return self.site.base / f"{NAME}{self.program.version.major}"

    @property
    @override
    def socket_path(self) -> Path:
        return addresses.valkey_socket(self.site.run)

    @override
    def presence(self) -> Presence:
        if not answers(self.socket_path):
            return Presence.ABSENT  # or nearly gone: the guard in spawn() knows
        try:
            with self._client() as client:
                client.ping()
                self._check_is_ours(client)
        except redis.RedisError as error:  # BusyLoadingError among them: it reads its file
            self.trouble = str(error)
            return Presence.BUSY
        return Presence.READY

    @override
    def prepare_data(self) -> None:
        check_data(self.data_dir, version=self.program.version)
        make_private_dir(self.data_dir, owner=self.site.owner)
        version_file(self.data_dir).write_text(f"{self.program.version}\n")

    @override
    def spawn(self, log_fd: int) -> subprocess.Popen[bytes] | None:
        # Valkey does not lock its data directory, and two of them would destroy it. It inherits this lock, so the lock
        # is held for as long as a Valkey, or a child of a killed one, has the directory open.
        guard_fd = locked_file(self.site.base / f"{self.data_dir.name}.lock")
        if guard_fd is None:
            self.trouble = "another Valkey still has the directory open; find it with `ps` and end it with kill -TERM"
            return None
        try:
            return self.popen(self._command(), log_fd=log_fd, pass_fds=(guard_fd,))
        finally:
            os.close(guard_fd)

    @override
    def running_pid(self) -> int | None:
        try:
            with self._client() as client:
                return int(client.info("server")["process_id"])
        except redis.RedisError as error:
            raise ServerGone(str(error)) from error

    @override
    def is_worth_another_start(self, log: str) -> bool:
        return False

    @override
    def stop_started(self, process: subprocess.Popen[bytes]) -> None:
        # SIGKILL is the last resort, and loses nothing that was acknowledged.
        if not end_process(process, signals=[(signal.SIGTERM, STOP_TIMEOUT), (signal.SIGKILL, timedelta(seconds=10))]):
            raise LocalServerError(f"Valkey (pid {process.pid}) did not stop: see {self.site.log_path(self.log_name)}")

    @override
    def stop_adopted(self) -> None:
        refusal = "it did not answer"
        try:
            with self._client() as client:
                client.shutdown()
        except redis.RedisError as error:
            refusal = str(error)
        if not self.wait_gone(within=STOP_TIMEOUT):
            raise LocalServerError(f"Valkey (pid {self.pid}) did not stop: {refusal}")

    def _command(self) -> list[str]:
        command = [str(self.program.path), "--unixsocket", str(self.socket_path), "--dir", str(self.data_dir)]
        for name, value in SETTINGS.items():
            command += [f"--{name}", value]
        return command

    def _client(self) -> redis.Redis:
        return redis.Redis(
            unix_socket_path=str(self.socket_path),
            socket_timeout=CONNECT_TIMEOUT_SECONDS,
            socket_connect_timeout=CONNECT_TIMEOUT_SECONDS,
            decode_responses=True,
            retry=Retry(NoBackoff(), 0),  # the default tries for seconds; whether to wait is decided elsewhere
        )

    def _check_is_ours(self, client: redis.Redis) -> None:
        found = client.config_get("dir", *PROMISES)
        if str(found["dir"]) != str(self.data_dir):
            raise LocalServerError(
                f"a Valkey that serves {found['dir']} answers on {self.socket_path}: stop it, "
                "or set AUTOCOM_DATA_DIR to another directory."
            )
        if broken := {name: found[name] for name, promised in PROMISES.items() if found[name] != promised}:
            raise LocalServerError(
                f"the Valkey that runs on {self.data_dir} has {broken}, where {PROMISES} is promised: "
                "stop it and start again."
            )


def version_file(data_dir: Path) -> Path:
    """Ours, because Valkey writes its version nowhere. Beside the directory, where only we can write."""
    return data_dir.with_name(f"{data_dir.name}.version")


def check_data(data_dir: Path, *, version: Version) -> None:
    """Raises LocalServerError when the directory, or one beside it, is another version's. Changes nothing."""
    if not data_dir.exists():
        for other in sorted(data_dir.parent.glob("*")):
            if re.fullmatch(r"(valkey|redis)\d+", other.name) and other.is_dir() and any(other.iterdir()):
                raise other_version(other, made_by=other.name, version=version)
        return
    made_by = _version_in(version_file(data_dir))
    if made_by is not None and (made_by.major != version.major or made_by.minor > version.minor):
        raise other_version(data_dir, made_by=f"Valkey {made_by}", version=version)


def other_version(data_dir: Path, *, made_by: str, version: Version) -> LocalServerError:
    return LocalServerError(
        f"{data_dir} was made by {made_by} and Valkey {version} may not be able to read it; nothing was changed. "
        "Let the version that made it drain its lanes, or copy its keys over (DUMP and RESTORE), "
        "and point AUTOCOM_DATA_DIR elsewhere."
    )


def _version_in(marker: Path) -> Version | None:
    try:
        found = re.match(r"(\d+)\.(\d+)", marker.read_text())
    except FileNotFoundError:
        return None
    return Version(int(found[1]), int(found[2])) if found else None
