"""Whether the process of an order lives. Not by its pid, which another process may have by now, nor by a heartbeat,
which a slow database holds up: by a lock that the kernel lets go when the process ends, however it ends.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

from django.conf import settings

from autocom.kernel.clock import SYSTEM_CLOCK, datetime_of
from evidence.models import WorkOrder

BORN_WITHIN = timedelta(minutes=1)  # from the start of the process to its lock: it imports everything first


@contextmanager
def living(order: WorkOrder) -> Iterator[None]:
    """Held while the order's process works. Raises OSError where EVIDENCE_ROOT takes no file."""
    path = _path(order)
    path.parent.mkdir(parents=True, exist_ok=True)
    unborn = path.with_suffix(f".{os.getpid()}")
    with unborn.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        unborn.rename(path)  # under its name only when it is locked: a free one is a dead one
        try:
            yield
        finally:
            path.unlink(missing_ok=True)


def is_dead(order: WorkOrder) -> bool:
    """True for a running order whose process is gone. The row is read anew: it may have been settled meanwhile."""
    if order.state != WorkOrder.State.RUNNING or _is_held(order):
        return False
    order.refresh_from_db(fields=["state", "started_at", "settled_at", "why", "step"])
    return order.state == WorkOrder.State.RUNNING


def forget(order: WorkOrder) -> None:
    """Of a dead one: its lock's file."""
    _path(order).unlink(missing_ok=True)


def _is_held(order: WorkOrder) -> bool:
    """True too for one that was started just now and has no lock yet."""
    try:
        with _path(order).open() as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except FileNotFoundError:
        now = datetime_of(us=SYSTEM_CLOCK.now_us())
        return order.started_at is not None and now - order.started_at < BORN_WITHIN
    return False


def _path(order: WorkOrder) -> Path:
    root: Path = settings.AUTOCOM.evidence_root
    return root / "orders" / f"{order._meta.model_name}-{order.pk}.lock"
