"""The drain workers of one machine: as many processes as are wanted, the newest ends first."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from autocom.supervisor import MANAGE, Child, Supervisor

DRAIN_WORKER = (*MANAGE, "worker", "--queue", "drain")


@dataclass(slots=True, kw_only=True)
class WorkerPool:
    """`supervisor` tends them: what crashes is started again."""

    supervisor: Supervisor
    logs: Path
    _workers: list[Child] = field(default_factory=list, init=False)

    def alive_count(self) -> int:
        return sum(1 for child in self._workers if child.process is not None and child.process.poll() is None)

    def scale_to(self, count: int) -> None:
        """So many run or are due to; those that are not needed finish their batch."""
        while len(self._workers) < count:
            self._start(len(self._workers) + 1)
        while len(self._workers) > count:
            self.supervisor.dismiss(self._workers.pop())

    def _start(self, number: int) -> None:
        child = Child(
            name=f"worker {number}", args=(), program=DRAIN_WORKER, log_path=self.logs / f"worker-{number}.log"
        )
        self.supervisor.add(child)
        self._workers.append(child)
