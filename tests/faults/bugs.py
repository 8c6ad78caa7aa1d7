"""The planted bugs: which safety is gone, and which fault must show it."""

from __future__ import annotations

from dataclasses import dataclass

from tests.faults.stack import StackOptions


@dataclass(frozen=True, slots=True, kw_only=True)
class Bug:
    id: str
    title: str
    fault: str
    options: StackOptions


BUGS = (
    Bug(
        id="no-unique-identity",
        title="the unique constraint on identities",
        fault="redis-dedupe-forgotten",
        options=StackOptions(has_unique_identity=False),
    ),
    Bug(
        id="ack-before-enqueue",
        title="no answer before Redis has answered",
        fault="redis-killed",
        options=StackOptions(bug="ack-before-enqueue"),
    ),
    Bug(
        id="no-fence-check",
        title="the check of the fence at commit",
        fault="drainer-wakes-late",
        options=StackOptions(bug="no-fence-check"),
    ),
    Bug(
        id="trim-before-commit",
        title="trim only after COMMIT",
        fault="worker-inside-the-transaction",
        options=StackOptions(bug="trim-before-commit"),
    ),
    Bug(
        id="no-sweeper",
        title="the sweeper",
        fault="workers-killed-at-the-end",
        options=StackOptions(bug="no-sweeper"),
    ),
    Bug(
        id="everysec",
        title="appendfsync always",
        fault="redis-power-lost",
        options=StackOptions(appendfsync="everysec", has_volumes=True),
    ),
)
