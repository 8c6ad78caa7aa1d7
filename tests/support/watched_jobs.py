"""Every periodic job, an error for Sentry and whatever is asked for, in a process whose connections are watched.

Prints one JSON object: `connected`, each address that a socket was connected to, and `asked`, each name that a resolver
was asked for. Both are refused unless they are of PostgreSQL or Redis, so that nothing leaves whatever is found.
"""

from __future__ import annotations

import json
import logging
import os
import socket
import sys
import threading
from types import MethodType
from typing import Any
from urllib.parse import parse_qs, urlsplit

CONNECTED: list[str] = []
ASKED: list[str] = []


def allowed() -> set[str]:
    """PostgreSQL's socket folder or host, and Redis' address, as the environment names them."""
    database, redis = urlsplit(os.environ["DB_URL"]), urlsplit(os.environ["REDIS_URL"])
    folders = parse_qs(database.query).get("host", [])
    return {*folders, database.hostname or "", redis.hostname or "", redis.path if redis.scheme == "unix" else ""} - {
        ""
    }


def watch(event: str, arguments: tuple[Any, ...]) -> None:
    if event == "socket.connect":
        target = arguments[1]
        told = target[0] if isinstance(target, tuple) else os.fsdecode(target)
        CONNECTED.append(str(told))
    elif event == "socket.getaddrinfo":
        told = str(arguments[0])
        ASKED.append(told)
    else:
        return
    if not any(str(told).startswith(each) for each in ALLOWED):
        raise ConnectionRefusedError(f"watched: {told}")


ALLOWED = allowed()


def main(plants: list[str]) -> None:
    import django

    sys.argv = ["manage.py", "worker"]  # which tells of what it commits, where it is asked to
    django.setup()
    import sentry_sdk

    from autocom.kernel.clock import SYSTEM_CLOCK
    from autocom.kernel.ids import new_request_id
    from autocom.otlp import SpanTeller
    from evidence.modes import current_mode
    from ingestion.committed import LISTENERS, CommittedDelivery
    from ingestion.worker import PERIODIC
    from tests.support.spans import answered_request, ended_job

    sys.addaudithook(watch)
    mode = current_mode()
    ran = []
    for job in PERIODIC:
        job()
        ran.append(getattr(job, "__name__", str(job)))
    for thread in threading.enumerate():
        if thread.name in ("publisher", "notifier"):
            thread.join(20)
    told = CommittedDelivery(
        request_id=new_request_id(now_us=SYSTEM_CLOCK.now_us()),
        provider="default",
        lane=0,
        epoch=1,
        first_sequence=1,
        event_count=1,
        batch=1,
        worker="watched",
        received_us=1_795_439_432_793_424,
        accepted_us=1_795_439_432_793_425,
        claimed_us=1_795_439_432_793_426,
        committed_us=1_795_439_432_793_427,
        sender_trace="",
    )
    tellers: list[Any] = [listener.__self__ for listener in LISTENERS if isinstance(listener, MethodType)]
    for teller in tellers:
        teller.tell_deliveries([told])
        teller.tell_job(ended_job("sweep", queue="ops"))
        teller.tell_request(answered_request())
        if isinstance(teller, SpanTeller):
            teller.close()
    logging.getLogger("watched").error("an error that Sentry would be told of")
    sentry_sdk.capture_message("another")
    sentry_sdk.flush(timeout=2)
    for address in plants:
        try:
            socket.create_connection((address, 443), timeout=1)
        except OSError:
            continue
    listeners = [type(teller).__name__ for teller in tellers]
    print(
        json.dumps(
            {
                "mode": mode,
                "ran": ran,
                "listeners": listeners,
                "connected": sorted(set(CONNECTED)),
                "asked": sorted(set(ASKED)),
            }
        )
    )


if __name__ == "__main__":
    main(sys.argv[1:])
