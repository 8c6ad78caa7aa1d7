"""Seals the log of events and dies by SIGKILL at a named point: `python -m tests.support.dying_sealer POINT`."""

from __future__ import annotations

import sys
from typing import Any

import django

from tests.support.dying_drain import die_instead, then_die

POINTS = {
    "after the lease": ("sealer", "_has_lease", then_die),
    "after the segment's temporary file": ("sealer", "stage", then_die),
    "before COMMIT": ("sealer", "_insert", then_die),
    "after COMMIT, before the segment's name": ("sealer", "move", lambda _: die_instead),
    "after the segment's name, before seal file and checkpoint": ("sealer", "publish", lambda _: die_instead),
    "after the seal file, before the checkpoint": ("files", "checkpoint_note", lambda _: die_instead),
}


def seal_and_die(point: str) -> None:
    from evidence.log import files, sealer
    from evidence.log.names import LogName

    where, name, dying = POINTS[point]
    module: Any = {"sealer": sealer, "files": files}[where]
    setattr(module, name, dying(getattr(module, name)))
    sealer.seal(LogName.EVENTS)


if __name__ == "__main__":
    django.setup()
    seal_and_die(sys.argv[1])
