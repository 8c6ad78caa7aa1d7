"""The life of one local server, the same for both: adopt, start, watch, stop."""

import os
import signal
import socket
import subprocess
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from enum import StrEnum
from pathlib import Path

from autocom.local_servers.errors import LocalServerError, ServerGone
from autocom.local_servers.owner import CLEAN_ENVIRON
from autocom.local_servers.processes import Process, is_same_and_alive, observe
from autocom.local_servers.site import Site

START_TIMEOUT = timedelta(seconds=60)
STOP_TIMEOUT = timedelta(seconds=20)
POLL_SECONDS = 0.02
CONNECT_TIMEOUT_SECONDS = 2
LOG_TAIL_BYTES = 65_536


class Presence(StrEnum):
    """What is found at the socket."""

    READY = "ready"  # answers, and serves our data directory
    BUSY = "busy"  # runs, but cannot answer yet or any more: wait, never start a second one
    ABSENT = "absent"


class LocalServer(ABC):
    """A server that this process started or adopted.

    `ensure()` under the lock of the base; the rest as you like, from one thread. Everything raises LocalServerError.
    """

    title: str

    def __init__(self, site: Site) -> None:
        self.site = site
        self.adopted = False
        self.trouble = "it has not been asked yet"  # why it was not READY when last asked
        self._process: subprocess.Popen[bytes] | None = None
        self._identity: Process | None = None
        self._was_ready = False
        self._log_start_bytes = 0

    @property
    def pid(self) -> int | None:
        """Of the running server; None when it is not known to run."""
        if self._process is not None:
            return self._process.pid if self._process.poll() is None else None
        return self._identity.pid if self._identity is not None and is_same_and_alive(self._identity) else None

    def ensure(self, *, timeout: timedelta = START_TIMEOUT) -> None:
        """Afterwards the server answers: adopted if it ran already, else started, on a new directory if need be."""
        self.prepare()
        bring_up([self], timeout=timeout)

    def prepare(self) -> None:
        """Afterwards the data directory is one that the server can use; that of a running server is not touched."""
        if self.presence() is Presence.ABSENT:
            self.prepare_data()

    def advance(self) -> bool:
        """One short step towards a running server; True once it answers. Starts it where it is absent."""
        presence = self.presence()
        if presence is Presence.READY:
            try:
                self._settle()
            except ServerGone as error:  # between two questions, as on a full disk; the next step looks again
                self.trouble = str(error)
                return False
            return True
        if presence is Presence.BUSY or (self._process is not None and self._process.poll() is None):
            return False
        if self._process is not None and not self._was_ready:
            self._judge_failed_start()
        self._start()
        return False

    def is_alive(self) -> bool:
        """False once the process has ended. A hung or recovering server is alive. Costs microseconds."""
        if self._process is None and self._identity is None:
            return self._was_ready and answers(self.socket_path)  # adopted from another pid namespace
        return self.pid is not None

    def stop(self, *, adopted_too: bool = False) -> None:
        """Afterwards a server that this process started has ended in order; an adopted one only with `adopted_too`."""
        if self._process is not None:
            if self._process.poll() is None:
                self.stop_started(self._process)
            self._process = None
        elif self.adopted and adopted_too and self.is_alive():
            self.stop_adopted()
        else:
            return
        self._identity, self._was_ready = None, False

    # What differs between the servers

    @property
    @abstractmethod
    def data_dir(self) -> Path: ...

    @property
    @abstractmethod
    def socket_path(self) -> Path: ...

    @property
    @abstractmethod
    def log_name(self) -> str: ...

    @abstractmethod
    def presence(self) -> Presence:
        """What is at the socket now. Raises LocalServerError when it is somebody else's or not as safe as asked for."""

    @abstractmethod
    def prepare_data(self) -> None:
        """Make the data directory, or check that it was made by this version."""

    @abstractmethod
    def spawn(self, log_fd: int) -> subprocess.Popen[bytes] | None:
        """Start the server; None when that has to wait a little."""

    @abstractmethod
    def running_pid(self) -> int | None:
        """The pid of the server that just answered. Raises ServerGone when it does no more."""

    @abstractmethod
    def is_worth_another_start(self, log: str) -> bool:
        """True when a start that ended with this log will succeed later by itself."""

    @abstractmethod
    def stop_started(self, process: subprocess.Popen[bytes]) -> None: ...

    @abstractmethod
    def stop_adopted(self) -> None: ...

    # For the servers

    def popen(
        self,
        command: Sequence[str],
        *,
        log_fd: int,
        pass_fds: tuple[int, ...] = (),
        extra_environ: Mapping[str, str] | None = None,
    ) -> subprocess.Popen[bytes]:
        """The server process: the owner's, in its own session, with an environment of our making."""
        return subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=log_fd,
            stderr=subprocess.STDOUT,
            cwd="/",
            env=CLEAN_ENVIRON | dict(extra_environ or {}),
            start_new_session=True,  # the terminal's Ctrl-C is for the supervisor, which stops workers before servers
            umask=0o077,
            pass_fds=pass_fds,
            **self.site.owner.spawn_options(),
        )

    def log_since_start(self) -> str:
        path = self.site.log_path(self.log_name)
        with path.open("rb") as log:
            log.seek(max(self._log_start_bytes, path.stat().st_size - LOG_TAIL_BYTES))
            return log.read().decode(errors="replace")

    def wait_gone(self, *, within: timedelta) -> bool:
        """True once the adopted server has ended."""
        return wait_until(lambda: not self.is_alive(), within=within)

    def _start(self) -> None:
        log_fd = self.site.open_log(self.log_name)
        try:
            self._log_start_bytes = os.fstat(log_fd).st_size
            self._process = self.spawn(log_fd)
        except OSError as error:
            raise LocalServerError(
                f"{self.title} cannot be started as the user {self.site.owner.name} ({error.strerror}): "
                "run autocom as a normal user, or set DB_URL and REDIS_URL."
            ) from error
        finally:
            os.close(log_fd)
        self._was_ready, self._identity = False, None

    def _settle(self) -> None:
        pid = self.running_pid()
        started_it = self._process is not None and self._process.poll() is None and self._process.pid == pid
        if not started_it:
            self._process = None
        self.adopted = not started_it
        self._identity = observe(pid) if pid is not None else None
        self._was_ready = True

    def _judge_failed_start(self) -> None:
        log = self.log_since_start()
        if not self.is_worth_another_start(log):
            lines = [line for line in log.splitlines() if line.strip()]
            fatal = next((line for line in lines if "FATAL" in line or "Fatal" in line), lines[-1] if lines else "")
            self._process = None
            raise LocalServerError(
                f"{self.title} did not start: {fatal.strip() or 'it said nothing'} "
                f"(all of it: {self.site.log_path(self.log_name)})"
            )
        self.trouble = "what an earlier server left behind has not ended yet"


def bring_up(servers: Sequence[LocalServer], *, timeout: timedelta) -> None:
    """Afterwards all answer. They start side by side. Raises LocalServerError when one does not answer in time."""
    deadline = time.monotonic() + timeout.total_seconds()
    waiting = list(servers)
    while waiting := [server for server in waiting if not server.advance()]:
        if time.monotonic() > deadline:
            late = waiting[0]
            raise LocalServerError(
                f"{late.title} in {late.data_dir} did not answer on {late.socket_path} within "
                f"{timeout.total_seconds():.0f} s: {late.trouble} (its log: {late.site.log_path(late.log_name)})"
            )
        time.sleep(POLL_SECONDS)


def answers(socket_path: Path) -> bool:
    """True when somebody listens on the socket, busy or not. Raises LocalServerError when we may not know."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(CONNECT_TIMEOUT_SECONDS)
        try:
            probe.connect(str(socket_path))
        except (FileNotFoundError, ConnectionRefusedError):
            return False
        except PermissionError as error:
            raise LocalServerError(
                f"{socket_path} belongs to another user: run autocom as that user, "
                "or set AUTOCOM_DATA_DIR to another directory."
            ) from error
        except OSError:
            return True  # a full backlog: it lives
    return True


def wait_until(condition: Callable[[], bool], *, within: timedelta) -> bool:
    deadline = time.monotonic() + within.total_seconds()
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(POLL_SECONDS)
    return True


def end_process(process: subprocess.Popen[bytes], *, signals: Sequence[tuple[signal.Signals, timedelta]]) -> bool:
    """Sends each signal and waits its time; True as soon as the process has ended."""
    for number, patience in signals:
        process.send_signal(number)
        try:
            process.wait(timeout=patience.total_seconds())
        except subprocess.TimeoutExpired:
            continue
        return True
    return False
