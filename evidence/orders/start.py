"""The oldest order of a kind gets its process; orders whose process is gone are settled."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from django.conf import settings
from django.db import transaction

from autocom.kernel.clock import SYSTEM_CLOCK, datetime_of
from evidence.models import WorkOrder
from evidence.orders.life import forget, is_dead

DIED = "its process ended without a word: ask again, and see the ops worker's log"
SUPERVISED = "AUTOCOM_SUPERVISED"  # whose child a process must be; these are children of the ops worker, and outlive it

log = logging.getLogger(__name__)


def _nothing(_: WorkOrder) -> None:
    pass


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind[Order: WorkOrder]:
    """One kind of orders. `words` is the command that does one; what goes on record is said in the transaction."""

    model: type[Order]
    words: Sequence[str]
    started: Callable[[Order], None] = _nothing
    died: Callable[[Order], None] = _nothing


def start_next[Order: WorkOrder](kind: Kind[Order]) -> int | None:
    """The order whose process was started; None where none waits or one is being done. Raises OSError, Error."""
    bury_the_dead(kind)
    State, rows = WorkOrder.State, kind.model._default_manager  # noqa: N806  (a class)
    with transaction.atomic():
        waiting = rows.filter(state=State.WAITING).order_by("id")
        is_busy = rows.filter(state=State.RUNNING).exists()
        found = None if is_busy else waiting.select_for_update(skip_locked=True).first()
        if found is None:
            return None
        found.state, found.started_at, found.step = State.RUNNING, datetime_of(us=SYSTEM_CLOCK.now_us()), "starting"
        found.save(update_fields=["state", "started_at", "step"])
        kind.started(found)
    _start(kind.words, number=int(found.pk))
    return int(found.pk)


def bury_the_dead[Order: WorkOrder](kind: Kind[Order]) -> int:
    """How many were found dead."""
    rows = kind.model._default_manager
    count = 0
    for order in rows.filter(state=WorkOrder.State.RUNNING):
        if not is_dead(order):
            continue
        with transaction.atomic():
            kept = rows.select_for_update().get(pk=order.pk)
            if kept.state != WorkOrder.State.RUNNING:
                continue
            kept.state, kept.why = WorkOrder.State.DIED, DIED
            kept.settled_at = datetime_of(us=SYSTEM_CLOCK.now_us())
            kept.save(update_fields=["state", "why", "settled_at"])
            kind.died(kept)
        forget(order)
        log.warning("order_died", extra={"order": str(kept)})
        count += 1
    return count


def _start(words: Sequence[str], *, number: int) -> None:
    """With this process's environment, and ended by nobody but itself."""
    subprocess.Popen(
        [sys.executable, "manage.py", *words, "--order", str(number)],
        cwd=Path(settings.BASE_DIR),
        env={name: value for name, value in os.environ.items() if name != SUPERVISED},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        start_new_session=True,
    )
