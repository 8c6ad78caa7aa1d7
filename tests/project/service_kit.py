"""One service of autocom as a process of its own, against the tests' servers."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.support.workers import environment

PROJECT = Path(__file__).resolve().parents[2]
PATIENCE_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Service:
    process: subprocess.Popen[bytes]
    log_path: Path

    def log(self) -> str:
        return self.log_path.read_text(errors="replace")

    def lines(self, event: str) -> list[dict[str, Any]]:
        """The log's lines of this event. Raises ValueError for a line that is no JSON."""
        return [line for line in map(json.loads, self.log().splitlines()) if line["event"] == event]

    def wait_for_line(self, event: str) -> dict[str, Any]:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not (found := self.lines(event)):
            assert time.monotonic() < deadline, f"no {event} in\n{self.log()}"
            time.sleep(0.05)
        return found[0]


@contextmanager
def running_service(*words: str, log_path: Path, **environ: str) -> Iterator[Service]:
    """`manage.py <words>`, gone afterwards."""
    with log_path.open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "manage.py", *words],
            cwd=PROJECT,
            env={**environment(), "AUTOCOM_SUPERVISED": str(os.getpid()), **environ},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    try:
        yield Service(process, log_path)
    finally:
        process.terminate()
        try:
            process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def await_answer(url: str) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not answers(url):
        assert time.monotonic() < deadline, f"{url} does not answer"
        time.sleep(0.1)


def answers(url: str) -> bool:
    try:
        urllib.request.urlopen(url, timeout=5).close()  # noqa: S310  (our own console)
    except OSError:
        return False
    return True
