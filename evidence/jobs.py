"""What RQ runs on the ops queue for evidence. Each job may be lost or repeated."""

from __future__ import annotations

import logging

from django.conf import settings
from django.db import Error, close_old_connections

from autocom.kernel.clock import SYSTEM_CLOCK, datetime_of
from evidence.budget import enter, watch
from evidence.bundles.orders import start_next
from evidence.certificate_fetch import fetch_beside
from evidence.errors import AuditLogBusy
from evidence.guardrails.check import check_rules
from evidence.log.errors import NoSigningKey, SealingRefused
from evidence.log.names import LogName
from evidence.log.sealer import seal_everything
from evidence.log_standing import log_standings
from evidence.outgoing.notifier import notify_beside
from evidence.promises import check
from evidence.publishing.publisher import publish_beside
from evidence.runs import orders as replay_orders
from evidence.tiles.sealed import keep_nodes
from evidence.tiles.tree import LeavesMissing
from ingestion.buffer.store import BufferUnavailable, lane_buffer
from ingestion.log_figures import keep_log_figures

log = logging.getLogger(__name__)


def seal_logs() -> int:
    """How many leaves were entered. What stands in the way is in the sealer's state and in the log."""
    close_old_connections()
    leaf_count = 0
    for name in LogName:
        try:
            leaf_count += seal_everything(name)
        except (SealingRefused, OSError, Error) as error:
            level = logging.INFO if isinstance(error, NoSigningKey) else logging.WARNING
            log.log(level, "sealing_broken_off", extra={"log": name.value, "error": str(error)})
    return leaf_count


def publish_due() -> bool:
    """Sends what waits for the central endpoint, beside the queue's other jobs. False while that is under way."""
    return publish_beside()


def notify_due() -> bool:
    """Tells destinations of alerts, beside the queue's other jobs. False while that is under way."""
    return notify_beside()


def note_logs() -> int:
    """How many leaves wait, of all logs; metrics know the rest."""
    close_old_connections()
    try:
        standings = log_standings()
        keep_log_figures([standing.figures for standing in standings], buffer=lane_buffer())
    except (BufferUnavailable, Error) as error:
        log.warning("logs_not_noted", extra={"error": str(error)})
        return 0
    return sum(standing.waiting_count for standing in standings)


def grow_tiles() -> int:
    """How many nodes were added to the files that proofs are made from. Without them proofs are only slower."""
    close_old_connections()
    try:
        return keep_nodes()
    except (OSError, LeavesMissing, Error) as error:
        log.warning("tiles_not_grown", extra={"error": str(error)})
        return 0


def check_promises() -> int:
    """Compares what was promised and is due with the rows, for a second at most: how many promises are broken now.

    -1 where Redis or PostgreSQL cannot be asked; then nothing is known, and the standing says so where it can.
    """
    close_old_connections()
    buffer = lane_buffer()
    try:
        checker = check.Checker(
            buffer=buffer, lane_count=settings.AUTOCOM.lanes, now_us=buffer.now_us(), clock=SYSTEM_CLOCK
        )
        return check.check_promises(checker).missing_count
    except BufferUnavailable as error:
        log.warning("promises_not_checked", extra={"error": str(error)})
    except (Error, AuditLogBusy) as error:
        log.warning("promises_not_checked", extra={"error": str(error)})
        _say_unknown("PostgreSQL cannot be asked" if isinstance(error, Error) else str(error))
    return -1


def _say_unknown(problem: str) -> None:
    try:
        check.cannot_check(problem, buffer=lane_buffer())
    except BufferUnavailable as error:
        log.warning("promises_not_checked", extra={"error": str(error)})


def start_bundle() -> int | None:
    """Starts the process of the oldest bundle that somebody asked for; which one."""
    close_old_connections()
    try:
        return start_next()
    except (OSError, Error) as error:
        log.warning("bundle_not_started", extra={"error": str(error)})
        return None


def start_replay() -> int | None:
    """Starts the process of the run that somebody asked for; which one. Runs whose process died are settled."""
    close_old_connections()
    try:
        return replay_orders.start_next()
    except (OSError, AuditLogBusy, Error) as error:
        log.warning("replay_not_started", extra={"error": str(error)})
        return None


def check_guardrails() -> int:
    """How many rules are breached; -1 where that could not be kept, and without PostgreSQL it is OBSERVER anyway."""
    close_old_connections()
    try:
        return sum(look.is_breached for look in check_rules() or ())
    except (AuditLogBusy, Error) as error:
        log.warning("guardrails_not_checked", extra={"error": str(error)})
        return -1


def enter_budget() -> int:
    """How many entries came into the ledger of error budgets."""
    close_old_connections()
    try:
        return enter.enter_budget(now=datetime_of(us=SYSTEM_CLOCK.now_us()))
    except (Error, AuditLogBusy) as error:
        log.warning("budget_not_entered", extra={"error": str(error)})
        return 0


def watch_burn() -> int:
    """How many burn rates are too high now; -1 where that cannot be known."""
    close_old_connections()
    try:
        return watch.watch_burn(now=datetime_of(us=SYSTEM_CLOCK.now_us()))
    except Error as error:
        log.warning("burn_not_watched", extra={"error": str(error)})
        return -1


def fetch_certificates() -> bool:
    """Fetches what SNS signed with and nobody imported, beside the queue's other jobs. False: nothing is wanted."""
    close_old_connections()
    try:
        return fetch_beside()
    except Error as error:
        log.warning("certificates_not_fetched", extra={"error": type(error).__name__})
        return False
