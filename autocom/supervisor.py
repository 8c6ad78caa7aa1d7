"""Runs the processes of `manage.py up`.

Starts them, restarts what crashed with a growing pause, stops them in order.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

PAUSE_FIRST_SECONDS = 0.5
PAUSE_LONGEST_SECONDS = 10.0
STEADY_SECONDS = 30.0  # a child that ran this long starts again with the first pause
STOP_SECONDS = 15.0
LEAVE_SECONDS = 60.0  # for a child that is not needed any more: nothing hurries it
POLL_SECONDS = 0.25
LOG_LIMIT_BYTES = 100_000_000
MANAGE = (sys.executable, str(Path(__file__).resolve().parent.parent / "manage.py"))


@dataclass(slots=True)
class Child:
    """One process, named as people know it. `args` follow the program, which is `manage.py`."""

    name: str
    args: Sequence[str]
    log_path: Path
    program: Sequence[str] = MANAGE
    environ: Mapping[str, str] = field(default_factory=dict)  # on top of this process's own
    tells: bool = False  # what it prints goes where ours goes; its log has the rest
    process: subprocess.Popen[bytes] | None = None
    started_at: float = 0.0
    restart_at: float | None = None
    pause_seconds: float = PAUSE_FIRST_SECONDS

    def start(self) -> None:
        with self.log_path.open("ab") as log:
            self.process = subprocess.Popen(
                [*self.program, *self.args],
                stdin=subprocess.DEVNULL,
                stdout=None if self.tells else log,
                stderr=log,
                env={**os.environ, **self.environ, "AUTOCOM_SUPERVISED": str(os.getpid())},
                start_new_session=True,  # Ctrl-C reaches the supervisor alone, which stops everything in order
            )
        self.started_at = time.monotonic()
        self.restart_at = None


@dataclass(slots=True)
class Supervisor:
    """`children` in the order in which they start and stop.

    The ingress stops first, so that nothing new is promised.
    """

    children: list[Child]
    say: Callable[[str], None]
    stop_seconds: float = field(default_factory=lambda: STOP_SECONDS)
    _stopping: bool = field(default=False, init=False)
    _leaving: list[tuple[Child, float]] = field(default_factory=list, init=False)  # and when each is killed

    def start(self) -> None:
        for child in self.children:
            child.start()

    def add(self, child: Child) -> None:
        """Started, and tended from now on."""
        child.start()
        self.children.append(child)

    def dismiss(self, child: Child) -> None:
        """Asked to end and not started again; its work in hand is finished."""
        self.children.remove(child)
        self._signal(child, signal.SIGTERM)
        self._leaving.append((child, time.monotonic() + LEAVE_SECONDS))

    def request_stop(self, *_: object) -> None:
        self._stopping = True

    def run(self, *, each_turn: Callable[[], Sequence[str]]) -> None:
        """Until a stop is requested. `each_turn` is called a few times a second; what it returns is said."""
        while not self._stopping:
            for child in self.children:
                self._tend(child)
            self._see_off()
            for sentence in each_turn():
                self.say(sentence)
            time.sleep(POLL_SECONDS)

    def _tend(self, child: Child) -> None:
        now = time.monotonic()
        if child.restart_at is not None:
            if now >= child.restart_at:
                child.start()
                self.say(f"{child.name} started again")
            return
        if child.process is None or child.process.poll() is None:
            _limit_log(child.log_path)
            return
        if now - child.started_at > STEADY_SECONDS:
            child.pause_seconds = PAUSE_FIRST_SECONDS
        child.restart_at = now + child.pause_seconds
        self.say(
            f"{child.name} ended ({ending(child.process.returncode)}), starting again in {child.pause_seconds:g} s; "
            f"its log: {child.log_path}"
        )
        child.pause_seconds = min(child.pause_seconds * 2, PAUSE_LONGEST_SECONDS)

    def _see_off(self) -> None:
        """Those that have ended are forgotten; those that do not end are killed."""
        now = time.monotonic()
        for child, deadline in self._leaving:
            if now > deadline:
                self._kill(child, after_seconds=LEAVE_SECONDS)
        self._leaving = [each for each in self._leaving if each[0].process and each[0].process.poll() is None]

    def stop(self) -> None:
        """Afterwards no child is left."""
        for child in self.children:
            self._signal(child, signal.SIGTERM)
        deadline = time.monotonic() + self.stop_seconds
        for child in [*self.children, *(child for child, _ in self._leaving)]:  # a second signal would hurry the latter
            if child.process is None:
                continue
            try:
                child.process.wait(timeout=max(deadline - time.monotonic(), 0.1))
            except subprocess.TimeoutExpired:
                self._kill(child, after_seconds=self.stop_seconds)

    def _kill(self, child: Child, *, after_seconds: float) -> None:
        if child.process is None or child.process.poll() is not None:
            return
        self.say(f"{child.name} did not end within {after_seconds:g} s and is killed")
        self._signal(child, signal.SIGKILL)
        child.process.wait()

    def _signal(self, child: Child, number: signal.Signals) -> None:
        if child.process is None or child.process.poll() is not None:
            return
        if number is signal.SIGKILL:
            os.killpg(child.process.pid, number)  # its own workers too
        else:
            child.process.send_signal(number)


def _limit_log(path: Path) -> None:
    try:
        if path.stat().st_size > LOG_LIMIT_BYTES:
            os.truncate(path, 0)  # the child appends, so it simply goes on at the start
    except FileNotFoundError:
        return  # somebody tidied up; that ends no service


def ending(returncode: int) -> str:
    """How a process ended, in words."""
    if returncode < 0:
        return f"killed by {signal.Signals(-returncode).name}"
    return f"exit {returncode}"
