"""Replay runs are asked for and cancelled."""

from __future__ import annotations

from django.db import transaction

from console.access import Permission
from console.actions.operator import Operator, check
from evidence.models import ReplayOrder
from evidence.orders.stop import NotUnderWay
from evidence.runs import orders
from evidence.runs.asked import Asked
from evidence.runs.finish import subject_of
from evidence.runs.folders import RUN_ID


def start_replay(operator: Operator, asked: Asked, *, reason: str) -> ReplayOrder:
    """The order waits for the ops worker, on record. Raises RefusalRecorded, ReplayRefused, AuditLogBusy."""
    check(operator, Permission.REPLAY_START, subject="replay")
    with transaction.atomic(durable=True):
        return orders.order(asked, actor=operator.actor, reason=reason)


def cancel_replay(operator: Operator, run_id: str, *, reason: str) -> ReplayOrder:
    """Nothing more is sent within seconds, and what was acknowledged is reconciled.

    Raises RefusalRecorded, NotUnderWay, AuditLogBusy.
    """
    check(operator, Permission.REPLAY_START, subject=subject_of(run_id)[:200])
    with transaction.atomic(durable=True):
        found = ReplayOrder.objects.filter(run_id=run_id).first() if RUN_ID.fullmatch(run_id) else None
        if found is None:
            raise NotUnderWay(f"{run_id[:80]!r} was not started from the console: end it where it was started")
        return orders.cancel(found, actor=operator.actor, reason=reason[: orders.REASON_LIMIT_CHARS])
