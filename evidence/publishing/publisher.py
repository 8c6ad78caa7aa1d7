"""Sends what is due, one after the other.

In a thread beside the worker's jobs: an upload lasts as long as the network pleases, and the sweeper, which heals
lanes, waits on the same queue.
"""

from __future__ import annotations

import logging
import random
import threading
import time
from collections.abc import Callable, Collection
from datetime import timedelta

from django.conf import settings
from django.db import Error, close_old_connections, connection

from evidence.errors import EvidenceError
from evidence.publishing.answers import Delivered, EndpointBusy
from evidence.publishing.asking import PURPOSE
from evidence.publishing.claims import (
    PUBLISHER,
    Claim,
    ClaimLost,
    claim_next,
    failed,
    forbidden,
    hold,
    published,
    rests,
)
from evidence.publishing.parcels import parcels_of
from evidence.publishing.sending import Endpoint, deliver
from evidence.sends import ExternalSendForbidden, guard_external_send
from ingestion.back_off import BackOff

REST = BackOff(at_first=timedelta(seconds=5), at_most=timedelta(minutes=10))
HOLD_EVERY_SECONDS = 10.0

log = logging.getLogger(__name__)
_AT_WORK = threading.Lock()


class EndpointChanged(EvidenceError):
    """It was asked for another endpoint than the present one, whose token is none of that one's business."""

    code = "evidence_endpoint_changed"

    def __init__(self) -> None:
        super().__init__("EVIDENCE_ENDPOINT is another address by now: ask for the publication again")


def publish_beside() -> bool:
    """What is due is being sent afterwards, by a thread of this process. False where one was at work already."""
    if not _AT_WORK.acquire(blocking=False):
        return False
    threading.Thread(target=_work, name="publisher", daemon=True).start()
    return True


def publish_all() -> int:
    """Nothing is due afterwards. How many attempts there were."""
    count = 0
    while publish_next():
        count += 1
    return count


def publish_next(*, only: Collection[int] | None = None) -> bool:
    """One attempt at one publication, whatever comes of it. False where none is due. `only`: of these."""
    claim = claim_next(only=only)
    if claim is None:
        return False
    try:
        published(claim, _delivered(claim))
        log.info("evidence_published", extra=_keys(claim))
    except ClaimLost:
        log.warning("publication_in_other_hands", extra=_keys(claim))
    except EvidenceError as error:
        _settle(claim, error)
    return True


def _delivered(claim: Claim) -> Delivered:
    """Of the artifact itself, which comes last."""
    guard_external_send(claim.endpoint, purpose=PURPOSE, actor=PUBLISHER)
    environment = settings.AUTOCOM
    if claim.endpoint != environment.evidence_endpoint.rstrip("/"):
        raise EndpointChanged
    endpoint = Endpoint.at(claim.endpoint, token=environment.evidence_endpoint_token)
    holding = _now_and_then(lambda: hold(claim))
    *before, artifact = parcels_of(claim.artifact)
    for parcel in before:
        deliver(parcel, endpoint=endpoint, holding=holding)
    return deliver(artifact, endpoint=endpoint, holding=holding)


def _settle(claim: Claim, error: EvidenceError) -> None:
    log.warning("publication_attempt_failed", extra={**_keys(claim), "code": error.code, "error": str(error)})
    try:
        if isinstance(error, ExternalSendForbidden):
            forbidden(claim, why=str(error))
        elif error.retryable:
            rests(claim, why=str(error), rest=_rest(claim, error))
        else:
            failed(claim, why=str(error))
    except ClaimLost:
        log.warning("publication_in_other_hands", extra=_keys(claim))


def _rest(claim: Claim, error: EvidenceError) -> timedelta:
    asked = timedelta(seconds=error.after_seconds) if isinstance(error, EndpointBusy) else timedelta(0)
    return asked + REST.rest(failed_before_count=claim.attempt - 1, share=random.random())  # noqa: S311


def _now_and_then(act: Callable[[], None]) -> Callable[[], None]:
    last = -HOLD_EVERY_SECONDS

    def acting() -> None:
        nonlocal last
        if time.monotonic() - last >= HOLD_EVERY_SECONDS:
            last = time.monotonic()
            act()

    return acting


def _work() -> None:
    try:
        close_old_connections()
        publish_all()
    except Error as error:  # the rows come free by themselves
        log.warning("publisher_broken_off", extra={"error": str(error)})
    except Exception:
        log.exception("publisher_crashed")
    finally:
        connection.close()
        _AT_WORK.release()


def _keys(claim: Claim) -> dict[str, object]:
    return {"publication": claim.publication_id, "sha256": claim.artifact.sha256, "attempt": claim.attempt}
