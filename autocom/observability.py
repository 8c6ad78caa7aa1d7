"""Logs as JSON lines on stderr, and Sentry where SENTRY_DSN is set."""

from __future__ import annotations

import json
import logging
import os
from typing import Any, override

import sentry_sdk
from django.conf import settings
from sentry_sdk.integrations.logging import LoggingIntegration
from sentry_sdk.scrubber import DEFAULT_DENYLIST, DEFAULT_PII_DENYLIST, EventScrubber
from sentry_sdk.types import Event, Hint

from autocom.kernel.clock import datetime_of

STANDARD_ATTRIBUTES = frozenset(logging.LogRecord("", 0, "", 0, "", (), None).__dict__) | {"message", "asctime", "taskName"}
SECRET_NAMES = [
    *("signature", "hmac", "x-hub-signature", "webhook", "webhook-signature", "x-webhook-signature", "stripe-signature"),
    *("bearer", "receipt", "payload", "body", "secret", "ciphertext", "dsn", "db_url", "redis_url"),
]
REMOVED = "[removed]"


class JsonFormatter(logging.Formatter):
    """One event, one line: time, level, logger, event name, and the keys given as `extra`."""

    @override
    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "at": datetime_of(us=int(record.created * 1_000_000)).isoformat(timespec="microseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "event": record.getMessage(),
        }
        line |= {name: value for name, value in record.__dict__.items() if name not in STANDARD_ATTRIBUTES}
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str, separators=(",", ":"))


def start_sentry() -> None:
    """Does nothing without SENTRY_DSN. The ingress has no default integrations: they cost more than the ack itself."""
    environment = settings.AUTOCOM
    if not environment.sentry_dsn:
        return
    is_ingress = os.environ.get("AUTOCOM_PROCESS") == "ingress"
    sentry_sdk.init(
        dsn=environment.sentry_dsn,
        environment=environment.sentry_environment,
        default_integrations=not is_ingress,
        auto_enabling_integrations=not is_ingress,
        # in the ingress a log call is the only way in: errors are logged there with their request id
        integrations=[LoggingIntegration(level=None, event_level=logging.ERROR)] if is_ingress else [],
        send_default_pii=False,
        max_request_body_size="never",
        include_local_variables=False,
        event_scrubber=EventScrubber(
            denylist=DEFAULT_DENYLIST + SECRET_NAMES, pii_denylist=DEFAULT_PII_DENYLIST, recursive=True
        ),
        before_send=scrub,
        before_send_transaction=scrub,
    )


def scrub(event: Event, hint: Hint) -> Event:  # noqa: ARG001  (Sentry's signature)
    """Takes out what may never leave: bodies, cookies, query strings, and every secret's value wherever it stands."""
    request = event.get("request")
    if isinstance(request, dict):
        for name in ("data", "cookies", "query_string"):
            request.pop(name, None)
    extra = event.get("extra")
    if isinstance(extra, dict) and (request_id := extra.get("request_id")):
        event.setdefault("tags", {})["request_id"] = str(request_id)
    environment = settings.AUTOCOM
    values = [environment.secret_key, environment.webhook_bearer_key, environment.webhook_hmac_secret]
    text = json.dumps(event, default=str)
    if any(value in text for value in values):
        for value in values:
            text = text.replace(value, REMOVED)
        cleaned: Event = json.loads(text)
        return cleaned
    return event
