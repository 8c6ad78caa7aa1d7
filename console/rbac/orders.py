"""Probes that somebody asked for in the console.

`order` in the asker's transaction; `start_next` on the ops queue starts a process for the oldest that waits, because a
probe takes minutes and the sweeper waits on the same queue; that process settles it (console/actions/rbac.py), and says
every second how far it is. One at a time. A process that is not heard of any more ends its order as failed.
"""

from __future__ import annotations

import logging
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from threading import Event, Thread

from django.conf import settings
from django.db import Error, connections, transaction

from autocom.kernel.clock import SYSTEM_CLOCK, datetime_of
from console.models import RbacOrder
from console.rbac.matrix import Progress

SEEN_EVERY_SECONDS = 1.0
DIES_AFTER = timedelta(minutes=2)
OPEN = (RbacOrder.State.WAITING, RbacOrder.State.RUNNING)

log = logging.getLogger(__name__)


def order(*, asked_by: str) -> RbacOrder:
    """Waits from the caller's COMMIT on. One that waits or runs already is given back."""
    return open_order() or RbacOrder.objects.create(asked_by=asked_by, asked_at=_now())


def open_order() -> RbacOrder | None:
    return RbacOrder.objects.filter(state__in=OPEN).first()


def start_next() -> int | None:
    """The order whose process was started; None where none waits or one runs."""
    now, running = _now(), RbacOrder.objects.filter(state=RbacOrder.State.RUNNING)
    why = "its process ended without a word: ask again, and see the ops worker's log"
    running.filter(seen_at__lt=now - DIES_AFTER).update(state=RbacOrder.State.FAILED, why=why, settled_at=now)
    with transaction.atomic():
        waiting = RbacOrder.objects.filter(state=RbacOrder.State.WAITING).order_by("pk")
        found = None if running.exists() else waiting.select_for_update(skip_locked=True).first()
        if found is None:
            return None
        RbacOrder.objects.filter(pk=found.pk).update(state=RbacOrder.State.RUNNING, started_at=now, seen_at=now)
    _start(found.pk)
    return int(found.pk)


def _start(number: int) -> None:
    """With this process's environment, and ended by nobody but itself."""
    subprocess.Popen(
        [sys.executable, "manage.py", "rbac_matrix", "--order", str(number)],
        cwd=Path(settings.BASE_DIR),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        start_new_session=True,
    )


@contextmanager
def told_every_second(number: int, progress: Progress) -> Iterator[None]:
    """By a thread with a connection of its own: the probe's is in one transaction from beginning to end."""
    teller = _Teller(number, progress)
    thread = Thread(target=teller.run, name="rbac-progress", daemon=True)
    thread.start()
    try:
        yield
    finally:
        teller.is_over.set()
        thread.join()


@dataclass(frozen=True, slots=True)
class _Teller:
    number: int
    progress: Progress
    is_over: Event = field(default_factory=Event)

    def run(self) -> None:
        try:
            while not self.is_over.wait(SEEN_EVERY_SECONDS):
                self._tell()
        finally:
            connections.close_all()

    def _tell(self) -> None:
        done, cells = self.progress.done_count, self.progress.cell_count
        try:
            RbacOrder.objects.filter(pk=self.number).update(done_count=done, cell_count=cells, seen_at=_now())
        except Error as error:  # the next second tells it; the probe itself ends where PostgreSQL is gone
            log.warning("rbac_progress_not_told", extra={"error": str(error)})


def _now() -> datetime:
    return datetime_of(us=SYSTEM_CLOCK.now_us())
