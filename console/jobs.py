"""What RQ runs on the ops queue for the console. Each job may be lost or repeated."""

from __future__ import annotations

import logging

from django.db import Error, close_old_connections

from console import verifications
from console.rbac.orders import start_next
from console.set_aside import orders as letter_orders
from evidence.errors import AuditLogBusy

log = logging.getLogger(__name__)


def start_letters() -> int | None:
    """Starts the process of the order over many letters that waits longest; which one. The dead are settled."""
    close_old_connections()
    try:
        return letter_orders.start_next()
    except (OSError, AuditLogBusy, Error) as error:
        log.warning("letters_not_started", extra={"error": str(error)})
        return None


def start_verification() -> int | None:
    """Starts the process of the verification that waits longest; which one. The dead are settled."""
    close_old_connections()
    try:
        return verifications.start_next()
    except (OSError, AuditLogBusy, Error) as error:
        log.warning("verification_not_started", extra={"error": str(error)})
        return None


def start_probe() -> int | None:
    """Starts the process of the probe that somebody asked for; which one."""
    close_old_connections()
    try:
        return start_next()
    except (OSError, Error) as error:
        log.warning("probe_not_started", extra={"error": str(error)})
        return None
