"""The wrappers. `install` puts a hook behind each import of a module that has some."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path
from types import ModuleType
from typing import Any

FOLDER = Path(os.environ.get("AUTOCOM_FAULTS_DIR", "/nonexistent"))
BUG = os.environ.get("AUTOCOM_FAULTS_BUG", "")

type Wrapper = Callable[[ModuleType], None]


def at(point: str) -> None:
    """Does what the point's file says, if there is one, and only in the process that gets hold of it."""
    order_path = FOLDER / f"at-{point}"
    try:
        taken = order_path.with_name(f"taken-{point}.{os.getpid()}")
        order_path.rename(taken)
    except OSError:
        return
    order = taken.read_text()
    (FOLDER / f"struck-{point}").write_text(str(os.getpid()))
    os.kill(os.getpid(), signal.SIGKILL if order == "kill" else signal.SIGSTOP)


def before(owner: Any, name: str, point: str) -> None:
    original = getattr(owner, name)

    def wrapped(*args: Any, **options: Any) -> Any:
        at(point)
        return original(*args, **options)

    setattr(owner, name, wrapped)


def after(owner: Any, name: str, point: str) -> None:
    original = getattr(owner, name)

    def wrapped(*args: Any, **options: Any) -> Any:
        result = original(*args, **options)
        at(point)
        return result

    setattr(owner, name, wrapped)


# -- points


def drain_points(module: ModuleType) -> None:
    before(module, "settle", "after-read")


def commit_points(module: ModuleType) -> None:
    after(module, "_write_batch", "inside-the-transaction")


def store_points(module: ModuleType) -> None:
    buffer = module.LaneBuffer
    after(buffer, "claim", "after-claim")
    before(buffer, "trim", "after-commit")
    after(buffer, "trim", "after-trim")
    after(buffer, "release", "after-release")


def group_commit_points(module: ModuleType) -> None:
    before(module.GroupCommit, "enqueue", "before-append")
    before(module.GroupCommit, "replied", "after-append")


def clock(module: ModuleType) -> None:
    """The wall clock alone: durations are measured by the monotonic one, which nobody can set."""
    path = FOLDER / f"clock-{'ingress' if 'ingress' in sys.argv else 'worker'}"
    now_us = module.SystemClock.now_us

    def moved(self: Any) -> int:
        try:
            return int(now_us(self)) + round(float(path.read_text()) * 1_000_000)
        except (OSError, ValueError):
            return int(now_us(self))

    module.SystemClock.now_us = moved


# -- planted bugs


def ack_before_enqueue(module: ModuleType) -> None:
    """A 202 whether or not Redis has taken it."""
    settle = module._Waiting.settle

    def optimistic(self: Any, answer: Any) -> None:
        if isinstance(answer, module.Unavailable) and self.words[0] == b"EVALSHA":
            events = int(self.words[4 + int(self.words[2])])
            answer = [[0, 1, 1, 1] for _ in range(events)]
        settle(self, answer)

    module._Waiting.settle = optimistic


def no_fence_check(module: ModuleType) -> None:
    from dataclasses import replace

    move = module._move_cursor

    def unfenced(entries: Sequence[Any], *, claim: Any) -> Any:
        row = module.Lane.objects.select_for_update().filter(number=claim.lane).first()
        known = row.fence if row and row.epoch == claim.epoch else 0
        cursor = move(entries, claim=replace(claim, fence=max(known, claim.fence)))
        module.Lane.objects.filter(number=claim.lane).update(fence=claim.fence)
        return cursor

    module._move_cursor = unfenced  # type: ignore[attr-defined]


def trim_before_commit(module: ModuleType) -> None:
    settle = module.settle

    def careless(entries: Sequence[Any], *, context: Any) -> Any:
        from ingestion.buffer.store import lane_buffer

        freed = sum(entry.size_bytes for entry in entries)
        lane_buffer().trim(context.claim, through_sequence=entries[-1].sequence, freed_bytes=freed)
        return settle(entries, context=context)

    module.settle = careless  # type: ignore[attr-defined]


def no_sweeper(module: ModuleType) -> None:
    module.sweep_lanes = lambda *_, **__: 0  # type: ignore[attr-defined]


WRAPPERS: dict[str, list[Wrapper]] = {
    "ingestion.drain": [drain_points],
    "ingestion.commit": [commit_points],
    "ingestion.buffer.store": [store_points],
    "autocom.ingress.group_commit": [group_commit_points],
    "autocom.kernel.clock": [clock],
}
BUGS: dict[str, tuple[str, Wrapper]] = {
    "ack-before-enqueue": ("autocom.ingress.group_commit", ack_before_enqueue),
    "no-fence-check": ("ingestion.commit", no_fence_check),
    "trim-before-commit": ("ingestion.drain", trim_before_commit),
    "no-sweeper": ("ingestion.sweep", no_sweeper),
}


class _Wrapping(Loader):
    """Runs the module as its own loader would, then the wrappers."""

    def __init__(self, loader: Loader, wrappers: Sequence[Wrapper]) -> None:
        self._loader, self._wrappers = loader, wrappers

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return self._loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        self._loader.exec_module(module)
        for wrapper in self._wrappers:
            wrapper(module)


class _Finder(MetaPathFinder):
    def __init__(self, wrappers: dict[str, list[Wrapper]]) -> None:
        self._wrappers = wrappers

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname not in self._wrappers:
            return None
        spec = PathFinder.find_spec(fullname, path, target)
        if spec is None or spec.loader is None:
            return None
        spec.loader = _Wrapping(spec.loader, self._wrappers[fullname])
        return spec


def install() -> None:
    wrappers = {name: list(found) for name, found in WRAPPERS.items()}
    if BUG in BUGS:
        module, wrapper = BUGS[BUG]
        wrappers.setdefault(module, []).append(wrapper)
    sys.meta_path.insert(0, _Finder(wrappers))
