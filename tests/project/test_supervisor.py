"""The supervisor with tiny children: restart with a growing pause, order of the end, and nothing left behind."""

from __future__ import annotations

import itertools
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import pytest

from autocom import supervisor as module
from autocom.supervisor import Child, Supervisor, ending

PATIENCE_SECONDS = 20.0
PROJECT = Path(__file__).resolve().parents[2]
SLEEPS = "import time; print('up', flush=True); time.sleep(600)"
DEAF = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True); time.sleep(600)"
CRASHES = "import sys; print('up', flush=True); sys.exit(3)"


@dataclass
class Kit:
    """Children from scripts, and a supervisor that runs in a thread."""

    directory: Path
    said: list[str] = field(default_factory=list)
    supervisor: Supervisor | None = None
    thread: threading.Thread | None = None

    def child(self, name: str, script: str) -> Child:
        return Child(
            name=name, args=(), log_path=self.directory / f"{name}.log", program=(sys.executable, "-c", script)
        )

    def run(self, *children: Child, each_turn: Callable[[], list[str]] = list) -> Supervisor:
        self.supervisor = Supervisor(children=list(children), say=self.said.append)
        self.supervisor.start()
        self.thread = threading.Thread(target=self.supervisor.run, kwargs={"each_turn": each_turn})
        self.thread.start()
        return self.supervisor

    def await_log(self, child: Child, *, times: int = 1) -> None:
        wait_for(lambda: child.log_path.exists() and child.log_path.read_text().count("up\n") >= times)

    def finish(self) -> None:
        if self.supervisor is not None:
            self.supervisor.request_stop()
            assert self.thread is not None
            self.thread.join(PATIENCE_SECONDS)
            assert not self.thread.is_alive()
            self.supervisor.stop()
            self.supervisor = None


def wait_for(condition: Callable[[], object]) -> None:
    until = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        assert time.monotonic() < until, "it did not happen in time"
        time.sleep(0.02)


def pid_of(child: Child) -> int:
    assert child.process is not None
    return child.process.pid


@pytest.fixture
def kit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Kit]:
    monkeypatch.setattr(module, "PAUSE_FIRST_SECONDS", 0.05)
    monkeypatch.setattr(module, "POLL_SECONDS", 0.02)
    kit = Kit(tmp_path)
    yield kit
    kit.finish()


def test_a_killed_child_is_started_again_and_both_are_said(kit: Kit) -> None:
    child = kit.child("worker 1", SLEEPS)
    kit.run(child)
    kit.await_log(child)
    first = pid_of(child)
    os.kill(first, signal.SIGKILL)
    kit.await_log(child, times=2)
    wait_for(lambda: len(kit.said) == 2)
    assert pid_of(child) != first
    assert kit.said[0].startswith("worker 1 ended (killed by SIGKILL), starting again in ")
    assert str(child.log_path) in kit.said[0]
    assert kit.said[1] == "worker 1 started again"


def test_a_child_that_keeps_crashing_is_started_with_a_pause_that_doubles_up_to_a_limit(
    kit: Kit, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "PAUSE_LONGEST_SECONDS", 0.2)
    child = kit.child("cron", CRASHES)
    child.pause_seconds = 0.05
    kit.run(child)
    kit.await_log(child, times=5)
    kit.finish()
    endings = [sentence for sentence in kit.said if "ended" in sentence]
    assert all("(exit 3)" in sentence for sentence in endings)
    pauses = [float(sentence.split("again in ")[1].split(" s")[0]) for sentence in endings[:5]]
    assert pauses[:4] == [0.05, 0.1, 0.2, 0.2]


def test_a_child_that_ran_long_starts_again_with_the_first_pause(kit: Kit, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "STEADY_SECONDS", 0.0)
    child = kit.child("cron", CRASHES)
    child.pause_seconds = 5.0
    kit.run(child)
    kit.await_log(child, times=3)
    assert all("in 0.05 s" in sentence for sentence in kit.said if "ended" in sentence)


def test_one_crash_leaves_the_other_children_alone(kit: Kit) -> None:
    steady, crashing = kit.child("console", SLEEPS), kit.child("cron", CRASHES)
    kit.run(steady, crashing)
    kit.await_log(steady)
    before = pid_of(steady)
    kit.await_log(crashing, times=3)
    assert pid_of(steady) == before
    assert not [sentence for sentence in kit.said if sentence.startswith("console")]


def test_what_each_turn_reports_is_said(kit: Kit) -> None:
    reports = [["Valkey had died and is back"], []]
    kit.run(kit.child("console", SLEEPS), each_turn=lambda: reports.pop(0) if reports else [])
    wait_for(lambda: "Valkey had died and is back" in kit.said)


def test_a_stop_ends_every_child_with_its_children_and_starts_none_again(kit: Kit) -> None:
    forks = f"import subprocess, sys; c = subprocess.Popen([sys.executable, '-c', {SLEEPS!r}]); c.wait()"
    parent = kit.child(
        "ingress", f"import signal, sys; signal.signal(15, lambda *_: (c.terminate(), sys.exit(0)));{forks}"
    )
    plain, deaf = kit.child("console", SLEEPS), kit.child("worker 1", SLEEPS)
    kit.run(parent, plain, deaf)
    for child in (parent, plain, deaf):
        kit.await_log(child)
    family = [psutil.Process(pid_of(child)) for child in (parent, plain, deaf)]
    family += family[0].children(recursive=True)
    assert len(family) == 4
    kit.finish()
    _, alive = psutil.wait_procs(family, timeout=PATIENCE_SECONDS)
    assert alive == []
    assert kit.said == []


def test_a_child_that_ignores_the_stop_is_killed_with_its_children_and_said(
    kit: Kit, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "STOP_SECONDS", 0.3)
    forks = f"import subprocess, sys; c = subprocess.Popen([sys.executable, '-c', {DEAF!r}])"
    child = kit.child("worker 1", f"import signal, time; signal.signal(15, signal.SIG_IGN);{forks}; c.wait()")
    kit.run(child)
    kit.await_log(child)
    family = [psutil.Process(pid_of(child)), *psutil.Process(pid_of(child)).children(recursive=True)]
    kit.finish()
    _, alive = psutil.wait_procs(family, timeout=PATIENCE_SECONDS)
    assert alive == []
    assert kit.said == ["worker 1 did not end within 0.3 s and is killed"]


def test_children_get_the_stop_in_the_order_of_their_start(kit: Kit) -> None:
    order = kit.directory / "order"
    script = (
        "import signal, sys, time\n"
        "def end(*_):\n    open({order!r}, 'a').write('{name} ')\n    sys.exit(0)\n"
        "signal.signal(15, end); print('up', flush=True); time.sleep(600)"
    )
    names = ["ingress", "console", "worker"]
    children = [kit.child(name, script.format(order=str(order), name=name)) for name in names]
    kit.run(*children)
    for child in children:
        kit.await_log(child)
    sent: list[int] = []
    original = Supervisor._signal

    def noted(self: Supervisor, child: Child, number: signal.Signals) -> None:
        sent.append(pid_of(child))
        original(self, child, number)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Supervisor, "_signal", noted)
        pids = [pid_of(child) for child in children]
        kit.finish()
    assert sent == pids
    assert sorted(order.read_text().split()) == sorted(names)


def test_a_dismissed_child_finishes_its_work_is_not_started_again_and_gets_no_second_signal(kit: Kit) -> None:
    script = (
        "import signal, sys, time\n"
        "def end(*_):\n    print('asked', flush=True); time.sleep(0.5); print('done', flush=True); sys.exit(0)\n"
        "signal.signal(15, end); print('up', flush=True); time.sleep(600)"
    )
    staying, leaving = kit.child("worker 1", SLEEPS), kit.child("worker 2", script)
    supervisor = kit.run(staying)
    kit.await_log(staying)
    supervisor.add(leaving)
    kit.await_log(leaving)
    supervisor.dismiss(leaving)
    wait_for(lambda: "asked" in leaving.log_path.read_text())
    kit.finish()
    assert leaving.process is not None
    assert leaving.process.returncode == 0
    assert leaving.log_path.read_text().split() == ["up", "asked", "done"]
    assert kit.said == []


def test_a_dismissed_child_that_does_not_end_is_killed_and_said(kit: Kit, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LEAVE_SECONDS", 0.3)
    deaf = kit.child("worker 2", DEAF)
    supervisor = kit.run(deaf)
    kit.await_log(deaf)
    supervisor.dismiss(deaf)
    wait_for(lambda: kit.said == ["worker 2 did not end within 0.3 s and is killed"])
    assert deaf.process is not None
    assert deaf.process.wait(timeout=20) == -signal.SIGKILL


def test_a_crashed_child_that_is_dismissed_during_its_pause_stays_away(kit: Kit) -> None:
    child = kit.child("worker 2", CRASHES)
    child.pause_seconds = 0.3
    supervisor = kit.run(child)
    wait_for(lambda: child.restart_at is not None)
    supervisor.dismiss(child)
    time.sleep(0.5)
    assert child.log_path.read_text().count("up\n") == 1


def test_a_log_above_its_limit_is_emptied_while_the_child_goes_on_writing(
    kit: Kit, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "LOG_LIMIT_BYTES", 2_000)
    child = kit.child("console", "import time\nwhile True: print('x' * 99, flush=True); time.sleep(0.001)")
    kit.run(child)
    before = pid_of(child)
    largest = 0

    def was_emptied() -> bool:
        nonlocal largest
        size = child.log_path.stat().st_size
        largest = max(largest, size)
        return size < largest

    wait_for(was_emptied)
    wait_for(lambda: child.log_path.stat().st_size > 0)
    assert b"\0" not in child.log_path.read_bytes(), "the child writes on at its old place: it does not append"
    assert pid_of(child) == before


def test_a_log_that_somebody_deleted_ends_nothing(kit: Kit) -> None:
    child = kit.child("console", SLEEPS)
    kit.run(child)
    kit.await_log(child)
    child.log_path.unlink()
    turns = itertools.count()
    turn = 0

    def next_turn() -> list[str]:
        nonlocal turn
        turn = next(turns)
        return []

    kit.finish()
    kit.said.clear()
    kit.run(child, each_turn=next_turn)
    child.log_path.unlink(missing_ok=True)
    wait_for(lambda: turn > 3)
    assert kit.thread is not None
    assert kit.thread.is_alive()


def test_the_ending_is_told_in_words() -> None:
    assert ending(0) == "exit 0"
    assert ending(3) == "exit 3"
    assert ending(-signal.SIGKILL) == "killed by SIGKILL"
    assert ending(-signal.SIGSEGV) == "killed by SIGSEGV"


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a process of its parent's death")
def test_a_child_whose_supervisor_died_before_it_could_look_ends_at_once() -> None:
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    done = subprocess.run(
        [sys.executable, "manage.py", "cron"],
        cwd=PROJECT,
        env={**os.environ, "AUTOCOM_SUPERVISED": str(gone.pid)},
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == -signal.SIGTERM
