"""What RQ runs on the ops queue for evidence. Each job may be lost or repeated."""

from __future__ import annotations

import logging

from django.db import Error, close_old_connections

from evidence.bundles.orders import start_next
from evidence.log.errors import NoSigningKey, SealingRefused
from evidence.log.names import LogName
from evidence.log.sealer import seal_everything

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


def start_bundle() -> int | None:
    """Starts the process of the oldest bundle that somebody asked for; which one."""
    close_old_connections()
    try:
        return start_next()
    except (OSError, Error) as error:
        log.warning("bundle_not_started", extra={"error": str(error)})
        return None
