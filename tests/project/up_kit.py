"""`manage.py up` as a person starts it, on a data directory and ports of its own, with every process of it in sight."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, LiteralString

import psutil
import psycopg

from autocom.local_servers import addresses
from tests.support.ingress import free_port

PROJECT = Path(__file__).resolve().parents[2]
PATIENCE_SECONDS = 240.0  # how long a hang takes to be told; nothing is judged by it
READY = "Ctrl-C stops everything"


@dataclass(slots=True)
class Up:
    """One running `manage.py up`. Its output is a file, so that nothing blocks on a full pipe."""

    data_dir: Path
    console_port: int
    ingress_port: int
    output: Path
    process: subprocess.Popen[bytes] = field(init=False)
    extra: dict[str, str] = field(default_factory=dict)  # more of its environment
    first_passwords: dict[str, str] = field(default_factory=dict)  # as the first start printed them

    def start(self, *, until: str = READY) -> None:
        """Runs it until it has printed the words."""
        with self.output.open("wb") as output:
            self.process = subprocess.Popen(
                [sys.executable, "manage.py", "up"],
                cwd=PROJECT,
                env=self.environ(),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        if until:
            self.wait_for_words(until)
        self.first_passwords = self.first_passwords or self.passwords()

    def environ(self) -> dict[str, str]:
        return {
            "PATH": os.environ["PATH"],
            "HOME": os.environ.get("HOME", "/"),
            "AUTOCOM_DATA_DIR": str(self.data_dir),
            "CONSOLE_PORT": str(self.console_port),
            "INGRESS_PORT": str(self.ingress_port),
            "INGRESS_WORKERS": "1",
            "WORKERS_MIN": "1",
            **self.extra,
        }

    def text(self) -> str:
        return self.output.read_text(errors="replace")

    def wait_for_words(self, words: str, *, times: int = 1) -> None:
        wait_for(
            lambda: self.text().count(words) >= times or self.process.poll() is not None,
            what=lambda: f"{words!r} in\n{self.text()}",
        )
        assert self.text().count(words) >= times, f"it ended before {words!r}:\n{self.text()}"

    def signal(self, number: signal.Signals) -> int:
        """Its exit code after the signal."""
        self.process.send_signal(number)
        return self.process.wait(timeout=PATIENCE_SECONDS)

    def processes(self) -> dict[int, str]:
        """Every live process of this data directory: its name is in the command, environment or work directory."""
        found = {}
        for process in psutil.process_iter():
            try:
                command = " ".join(process.cmdline())
                named = f"{self.data_dir}/" in command or process.environ().get("AUTOCOM_DATA_DIR") == str(
                    self.data_dir
                )
                at_home = (process.cwd() or "/").startswith(f"{self.data_dir}/")
                if (named or at_home) and process.status() != psutil.STATUS_ZOMBIE:
                    found[process.pid] = command
            except (psutil.Error, OSError):
                continue
        return found

    def pids(self, words: str) -> list[int]:
        return [pid for pid, command in self.processes().items() if words in command and pid != self.process.pid]

    def wait_until_empty(self) -> None:
        wait_for(lambda: not self.processes(), what=lambda: f"no process left, but there are {self.processes()}")

    def get(self, path: str, *, port: int | None = None) -> tuple[int, bytes]:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port or self.ingress_port}{path}", timeout=5) as answer:
                return answer.status, answer.read()
        except urllib.error.HTTPError as refused:
            return refused.code, refused.read()
        except OSError:
            return 0, b""

    def is_ready(self) -> bool:
        return self.get("/readyz")[0] == 200 and self.get("/readyz", port=self.console_port)[0] == 200

    def pasted_command(self) -> str:
        """What stands below "send the first webhook with", as a person would copy it."""
        lines = self.text().split("send the first webhook with\n", 1)[1].splitlines()
        return "\n".join(line for line in lines if line.startswith("  "))

    def send(self) -> dict[str, Any]:
        """Pastes the command into bash; the answer."""
        done = subprocess.run(
            ["bash", "-c", self.pasted_command()], capture_output=True, text=True, timeout=30, check=False
        )
        assert done.returncode == 0, done.stderr
        answer: dict[str, Any] = json.loads(done.stdout)
        return answer

    def passwords(self) -> dict[str, str]:
        """Name and password of each user that the output of the latest start lists."""
        _, _, rest = self.text().partition("the passwords are shown once:\n")
        listed = rest.partition("autocom:")[0]
        return {m[1]: m[2] for m in re.finditer(r"^    (\S+)\s+(\S{16,})\s+\S", listed, re.MULTILINE)}

    def secrets(self) -> list[str]:
        return [file.read_text() for file in (self.data_dir / "secrets").iterdir()]

    def manage(self, *words: str, patience_seconds: float = PATIENCE_SECONDS) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "manage.py", *words],
            cwd=PROJECT,
            env=self.environ(),
            capture_output=True,
            text=True,
            timeout=patience_seconds,
            check=False,
        )

    def rows(self, query: LiteralString, *values: str) -> list[tuple[Any, ...]]:
        with psycopg.connect(addresses.db_url(self.data_dir), connect_timeout=5) as connection:
            return connection.execute(query, values).fetchall()

    def end(self) -> None:
        """Whatever happened: nothing of it is left."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(timeout=30)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        for pid in self.processes():
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue


@contextmanager
def new_up() -> Iterator[Up]:
    """Not started yet; gone afterwards, with its data."""
    base = Path(tempfile.mkdtemp(prefix="autocom-up-", dir="/tmp"))
    base.chmod(0o755)  # the servers' own user must get through
    up = Up(data_dir=base / "data", console_port=free_port(), ingress_port=free_port(), output=base / "output")
    try:
        yield up
    finally:
        if hasattr(up, "process"):
            up.end()
        shutil.rmtree(base, ignore_errors=True)


def wait_for(condition: Callable[[], object], *, what: Callable[[], str]) -> None:
    until = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        if time.monotonic() > until:
            raise AssertionError(f"not within {PATIENCE_SECONDS:g} s: {what()}")
        time.sleep(0.05)
