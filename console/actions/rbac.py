"""The matrix of permissions is tested, and the audit log says how it ended."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path

from django.db import Error, transaction

from autocom.kernel.clock import SYSTEM_CLOCK, datetime_of
from autocom.kernel.errors import AutocomError
from console.access import Permission
from console.actions.operator import Operator, check
from console.models import RbacOrder, RbacRun
from console.rbac.matrix import Matrix, Progress, matrix, write
from console.rbac.orders import order, told_every_second
from console.rbac.probe import Verdict
from console.rbac.runs import keep_run
from evidence.audit import Act, Actor, ActorKind, record

log = logging.getLogger(__name__)


def ask_for_probe(operator: Operator) -> RbacOrder:
    """The order waits for the ops worker; the probe itself is what goes on record. Raises RefusalRecorded."""
    check(operator, Permission.RBAC_RUN, subject="rbac matrix")
    with transaction.atomic(durable=True):
        return order(asked_by=operator.actor.name)


@dataclass(frozen=True, slots=True)
class Tested:
    matrix: Matrix
    run: RbacRun


def tested_rbac(*, actor: Actor, folder: Path | None, progress: Progress | None) -> Tested:
    """Probed, written and on record. Raises ConfigurationError, OSError and django.db.Error."""
    told = matrix(progress=progress)
    digest = write(told, folder)
    facts = {
        "outcome": told.outcome,
        "commit": told.commit,
        "cells": len(told.cells),
        "mismatch": told.count(Verdict.MISMATCH),
        "untested": told.count(Verdict.UNTESTED),
        "matrix_sha256": digest,
    }
    with transaction.atomic():
        run = keep_run(told, asked_by=actor.name, matrix_sha256=digest)
        record(Act.RBAC_TESTED, actor=actor, subject="rbac matrix", facts=facts)
    return Tested(told, run)


def settle(number: int) -> RbacOrder:
    """Done, or failed and why. Raises RbacOrder.DoesNotExist; django.db.Error where that cannot be written."""
    asked, progress = RbacOrder.objects.get(pk=number), Progress()
    try:
        with told_every_second(number, progress):
            actor = Actor(ActorKind.PERSON, asked.asked_by)
            asked.run = tested_rbac(actor=actor, folder=None, progress=progress).run
        asked.state = RbacOrder.State.DONE
    except (AutocomError, OSError, Error) as error:
        log.warning("rbac_not_probed", extra={"order": number, "error": str(error)})
        asked.state, asked.why = RbacOrder.State.FAILED, str(error).partition("\n")[0]
    asked.done_count, asked.cell_count = progress.done_count, progress.cell_count
    asked.settled_at = datetime_of(us=SYSTEM_CLOCK.now_us())
    asked.save()
    return asked
