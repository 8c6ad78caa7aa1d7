"""Bundles that somebody asked for in the console.

`order` in the asker's transaction; `start_next` on the ops queue starts a process for the oldest that waits, because a
bundle of a million events takes minutes and the sweeper waits on the same queue; `settle` is what that process does.
One at a time. A process that died leaves its order in the state `making`, which ends as failed after a while.
"""

from __future__ import annotations

import logging
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

from django.conf import settings
from django.db import Error, transaction

from autocom.kernel.clock import SYSTEM_CLOCK, datetime_of
from autocom.kernel.errors import AutocomError
from evidence.audit import Actor, ActorKind
from evidence.bundles.export import export
from evidence.gates.spec import gate
from evidence.models import BundleOrder
from evidence.runs.folders import kept_run

DIES_AFTER = timedelta(minutes=30)

log = logging.getLogger(__name__)


def order(*, run_id: str, gate_name: str, actor: Actor) -> BundleOrder:
    """Waits from the caller's COMMIT on. One that waits for the same already is given back.

    Raises RunUnknown, GateUnknown.
    """
    folder, spec = kept_run(run_id), gate(gate_name)
    same = BundleOrder.objects.filter(run_id=folder.run_id, gate=spec.name, state=BundleOrder.State.WAITING)
    return same.first() or BundleOrder.objects.create(
        run_id=folder.run_id,
        gate=spec.name,
        actor_kind=actor.kind.value,
        actor=actor.name,
        asked_at=datetime_of(us=SYSTEM_CLOCK.now_us()),
    )


def start_next() -> int | None:
    """The order whose process was started; None where none waits or one is being made."""
    now = datetime_of(us=SYSTEM_CLOCK.now_us())
    making = BundleOrder.objects.filter(state=BundleOrder.State.MAKING)
    why = "its process ended without a word: ask again, and see the ops worker's log"
    making.filter(started_at__lt=now - DIES_AFTER).update(state=BundleOrder.State.FAILED, why=why, settled_at=now)
    with transaction.atomic():
        waiting = BundleOrder.objects.filter(state=BundleOrder.State.WAITING).order_by("id")
        found = None if making.exists() else waiting.select_for_update(skip_locked=True).first()
        if found is None:
            return None
        BundleOrder.objects.filter(pk=found.pk).update(state=BundleOrder.State.MAKING, started_at=now)
    _start(found.pk)
    return int(found.pk)


def _start(number: int) -> None:
    """With this process's environment, and ended by nobody but itself."""
    subprocess.Popen(
        [sys.executable, "manage.py", "evidence", "export", "--order", str(number)],
        cwd=Path(settings.BASE_DIR),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        start_new_session=True,
    )


def settle(number: int) -> BundleOrder:
    """Made, or failed and why. Raises BundleOrder.DoesNotExist; django.db.Error where that cannot be written."""
    asked = BundleOrder.objects.get(pk=number)
    try:
        actor = Actor(ActorKind(asked.actor_kind), asked.actor)
        asked.bundle = export(kept_run(asked.run_id), actor=actor, gate_name=asked.gate).bundle
        asked.state = BundleOrder.State.MADE
    except (AutocomError, OSError, Error) as error:
        log.warning("bundle_not_made", extra={"run_id": asked.run_id, "error": str(error)})
        asked.state, asked.why = BundleOrder.State.FAILED, str(error).partition("\n")[0]
    asked.settled_at = datetime_of(us=SYSTEM_CLOCK.now_us())
    asked.save()
    return asked
