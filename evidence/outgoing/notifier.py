"""Sends what is due, one after the other, in a thread beside the worker's jobs, as the publisher does."""

from __future__ import annotations

import logging
import random
import threading
from datetime import timedelta

from django.db import Error, close_old_connections, connection

from autocom.kernel.errors import AutocomError
from evidence.outgoing.claims import Claim, claim_next, dead, rests, sent, withheld
from evidence.outgoing.errors import OutsideCanary
from evidence.outgoing.forwards import enter_forwards
from evidence.outgoing.notices import enter_notices
from evidence.outgoing.sending import send
from evidence.sends import ExternalSendForbidden
from ingestion.back_off import BackOff

REST = BackOff(at_first=timedelta(seconds=5), at_most=timedelta(minutes=30))
ATTEMPT_LIMIT_COUNT = 12  # with the rests above: some hours
ROUND_LIMIT_COUNT = 1_000

log = logging.getLogger(__name__)
_AT_WORK = threading.Lock()


def notify_beside() -> bool:
    """What is due is being sent afterwards, by a thread of this process. False where one was at work already."""
    if not _AT_WORK.acquire(blocking=False):
        return False
    threading.Thread(target=_work, name="notifier", daemon=True).start()
    return True


def notify_all() -> int:
    """How many attempts there were, up to a round's limit."""
    enter_notices()
    enter_forwards()
    count = 0
    while count < ROUND_LIMIT_COUNT and send_next():
        count += 1
    return count


def send_next() -> bool:
    """One attempt at one message, whatever comes of it. False where none is due."""
    claim = claim_next()
    if claim is None:
        return False
    try:
        send(claim)
    except AutocomError as error:
        _failed(claim, error)
    else:
        sent(claim)
        log.info("notification_sent", extra=_keys(claim))
    return True


def _failed(claim: Claim, error: AutocomError) -> None:
    log.warning("notification_attempt_failed", extra={**_keys(claim), "code": error.code, "error": str(error)})
    if isinstance(error, ExternalSendForbidden | OutsideCanary):
        withheld(claim, why=str(error))
    elif error.retryable and claim.attempt < ATTEMPT_LIMIT_COUNT:
        rest = REST.rest(failed_before_count=claim.attempt - 1, share=random.random())  # noqa: S311
        rests(claim, why=str(error), rest=rest)
    else:
        dead(claim, why=str(error))


def _work() -> None:
    try:
        close_old_connections()
        notify_all()
    except Error as error:  # leases end by themselves
        log.warning("notifier_broken_off", extra={"error": str(error)})
    except Exception:
        log.exception("notifier_crashed")
    finally:
        connection.close()
        _AT_WORK.release()


def _keys(claim: Claim) -> dict[str, object]:
    return {"destination": claim.destination, "message_id": claim.message_id, "attempt": claim.attempt}
