"""Certificates of Amazon SNS that messages name and nobody imported, fetched where the mode allows it.

The URL is a stranger's word: only a signing certificate by its usual name, on a host of SNS, is asked for, over TLS
that names that host. Not checked: the certificate's own chain and revocation, nor that the topic is in that region.
"""

from __future__ import annotations

import logging
import random
import re
import threading
from collections.abc import Callable
from datetime import timedelta

from django.db import Error, close_old_connections, connections, transaction
from django.db.models import QuerySet

from autocom.kernel.clock import SYSTEM_CLOCK, datetime_of
from autocom.kernel.errors import AutocomError
from evidence.audit import Act, Actor, record
from evidence.errors import EvidenceError
from evidence.publishing.exchange import Limits, exchange
from evidence.sends import Destination, guard_external_send, resolve
from ingestion.certificates import import_certificate
from ingestion.models import ProviderCertificate, WantedCertificate

FETCHER = Actor.process("certificates")
PURPOSE = "certificate"
WANTED_WITHIN = timedelta(hours=2)  # SNS has given up on what was refused before
AT_ONCE_COUNT = 3  # of those wanted, chosen by lot: whoever makes up names cannot keep the true one waiting
OK = 200
LIMITS = Limits(connect_seconds=5.0, silence_seconds=5.0, answer_seconds=10.0)
_URL = re.compile(
    r"\Ahttps://sns\.[a-z]{2}(-[a-z]+)+-[0-9]{1,2}\.amazonaws\.com/SimpleNotificationService-[0-9a-f]{32}\.pem\Z"
)
_AT_WORK = threading.Lock()

log = logging.getLogger(__name__)


class NotFetched(EvidenceError):
    """The certificate was not taken; it stays wanted."""

    code = "certificate_not_fetched"


def fetch_beside() -> bool:
    """What is wanted is being fetched afterwards, by a thread of this process. False where one is at work."""
    if not _wanted().exists() or not _AT_WORK.acquire(blocking=False):
        return False
    threading.Thread(target=_work, name="certificates", daemon=True).start()
    return True


def fetch_wanted(*, look_up: Callable[[str], Destination] = resolve) -> int:
    """How many certificates were stored. What was not fetched is in the log, and wanted still."""
    wanted = list(_wanted().select_related("provider"))
    return sum(_fetched(each, look_up) for each in random.sample(wanted, min(len(wanted), AT_ONCE_COUNT)))


def fetch(wanted: WantedCertificate, *, look_up: Callable[[str], Destination] = resolve) -> ProviderCertificate:
    """Stored with its audit entry, so that the provider's messages verify from the ingress's next look on.

    Raises ExternalSendForbidden, NotFetched, DestinationUnknown, Broken, ConfigurationError, django.db.Error.
    """
    if not _URL.match(wanted.url):
        raise NotFetched("it is no signing certificate at https://sns.<region>.amazonaws.com/: import it by hand")
    guard_external_send(wanted.url, purpose=PURPOSE, actor=FETCHER)
    destination = look_up(wanted.url)
    answer = exchange(destination, method="GET", path=destination.path, headers={}, limits=LIMITS)
    if answer.status != OK:
        raise NotFetched(f"{destination.host} answers {answer.status}")
    return _stored(wanted, answer.body)


def _wanted() -> QuerySet[WantedCertificate]:
    since = datetime_of(us=SYSTEM_CLOCK.now_us()) - WANTED_WITHIN
    return WantedCertificate.objects.filter(last_seen_at__gte=since, provider__enabled=True)


def _fetched(wanted: WantedCertificate, look_up: Callable[[str], Destination]) -> bool:
    try:
        row = fetch(wanted, look_up=look_up)
    except (AutocomError, Error) as error:
        told = {"provider": wanted.provider.name, "error": str(error).partition("\n")[0]}
        log.warning("certificate_not_fetched", extra=told)
        return False
    log.info("certificate_fetched", extra={"provider": wanted.provider.name, "sha256": row.sha256})
    return True


def _stored(wanted: WantedCertificate, body: bytes) -> ProviderCertificate:
    now, file_name = datetime_of(us=SYSTEM_CLOCK.now_us()), wanted.url.rpartition("/")[2]
    with transaction.atomic():
        pem = body.decode("ascii", "replace")
        row = import_certificate(provider=wanted.provider, pem=pem, file_name=file_name, now=now)
        facts = {"file_name": file_name, "sha256": row.sha256, "fetched_from": wanted.url}
        record(Act.CERTIFICATE_IMPORTED, actor=FETCHER, subject=f"provider {wanted.provider.name}", facts=facts)
    return row


def _work() -> None:
    try:
        close_old_connections()
        fetch_wanted()
    except Error as error:
        log.warning("certificates_not_fetched", extra={"error": type(error).__name__})
    finally:
        connections.close_all()
        _AT_WORK.release()
