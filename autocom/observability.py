"""Logs as JSON lines on stderr, the id of the request at hand, and Sentry where SENTRY_DSN is set."""

from __future__ import annotations

import atexit
import json
import logging
import os
import sys
import threading
from collections.abc import Callable, Iterable, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any, Protocol, override
from urllib.parse import urlsplit

import sentry_sdk
from django.conf import settings
from sentry_sdk.integrations.logging import LoggingIntegration, ignore_logger
from sentry_sdk.scrubber import DEFAULT_DENYLIST, DEFAULT_PII_DENYLIST, EventScrubber

from autocom.build import build
from autocom.environment import Environment
from autocom.kernel.addresses import is_loopback
from autocom.kernel.clock import SYSTEM_CLOCK, datetime_of
from autocom.kernel.ids import new_request_id
from autocom.kernel.request_context import ENVIRON_KEY, REQUEST_ID
from autocom.kernel.trace_ids import trace_id
from autocom.scrubbing import SECRET_NAMES, first_line, scrub, without_secrets
from autocom.sentry_transport import ModeTransport

if TYPE_CHECKING:  # they load models, and this is loaded before those
    from autocom.spans import AnsweredRequest
    from ingestion.committed import CommittedDelivery
    from ingestion.worker import EndedJob

STANDARD_ATTRIBUTES = frozenset(logging.LogRecord("", 0, "", 0, "", (), None).__dict__) | {
    "message",
    "asctime",
    "taskName",
    "request",  # Django's own: it shows the query string, where some senders put a token
}
SERVICES = (
    "ingress",
    "console",
    "worker",
    "autoscale",
    "cron",
)  # commands that run for days and whose stderr is read by machines
GRANIAN_LOGS: dict[str, Any] = {"handlers": {}, "loggers": {"_granian": {"handlers": [], "propagate": True}}}

log = logging.getLogger(__name__)


class JsonFormatter(logging.Formatter):
    """One event, one line: time, level, logger, event name, and the keys given as `extra`.

    An error's text is somebody else's, so every secret that this process knows is taken out of it.
    """

    @override
    def format(self, record: logging.LogRecord) -> str:
        event, _, more = record.getMessage().partition("\n")
        line: dict[str, Any] = {
            "at": datetime_of(us=int(record.created * 1_000_000)).isoformat(timespec="microseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "event": event,
        }
        if more:  # a library that writes a traceback or a warning's source line into its message
            line["more"] = more
        if request_id := REQUEST_ID.get():
            line["request_id"] = str(request_id)
            line["trace_id"] = trace_id(request_id)
        line |= {name: value for name, value in record.__dict__.items() if name not in STANDARD_ATTRIBUTES}
        if isinstance(error := line.get("error"), str):
            line["error"] = first_line(error)  # below it PostgreSQL quotes the data that it refused
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        text = json.dumps(line, default=str, separators=(",", ":"))
        return without_secrets(text) if record.exc_info or record.levelno >= logging.ERROR else text


def start_logging(argv: list[str]) -> None:
    """In a service, warnings and errors that nobody caught become log lines too.

    A person at a shell gets them as ever.
    """
    if argv[1:2] and argv[1] in SERVICES:
        logging.captureWarnings(True)
        sys.excepthook = _log_uncaught
        threading.excepthook = lambda args: _log_uncaught(args.exc_type, args.exc_value, args.exc_traceback)


def _log_uncaught(kind: type[BaseException], error: BaseException | None, traceback: TracebackType | None) -> None:
    if isinstance(error, KeyboardInterrupt):
        return
    log.critical("process_crashed", exc_info=(kind, error or kind(), traceback))


def with_request_id(application: Callable[..., Iterable[bytes]]) -> Callable[..., Iterable[bytes]]:
    """The WSGI application with an id for each request.

    In its log lines, its Sentry events and the answer's X-Request-Id.
    """

    def serve(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        request_id = new_request_id(now_us=SYSTEM_CLOCK.now_us())
        REQUEST_ID.set(request_id)
        environ[ENVIRON_KEY] = request_id

        def start(status: str, headers: list[tuple[str, str]], *rest: Any) -> Any:
            return start_response(status, [*headers, ("X-Request-Id", str(request_id))], *rest)

        return application(environ, start)

    return serve


def start_sentry() -> None:
    """Does nothing without SENTRY_DSN. What may leave by it is asked each time: `autocom.sentry_transport`.

    The ingress has no default integrations: they cost more than the ack itself.
    """
    environment = settings.AUTOCOM
    if not environment.sentry_dsn:
        return
    is_guarded = not environment.sentry_in_observer and not is_loopback(urlsplit(environment.sentry_dsn).hostname or "")
    is_ingress = os.environ.get("AUTOCOM_PROCESS") == "ingress"
    sentry_sdk.init(
        dsn=environment.sentry_dsn,
        transport=ModeTransport if is_guarded else None,
        environment=environment.sentry_environment,
        release=environment.sentry_release or f"autocom@{build()}",
        default_integrations=not is_ingress,
        auto_enabling_integrations=not is_ingress,
        # in the ingress a log call is the only way in: errors are logged there with their request id
        integrations=[LoggingIntegration(level=None, event_level=logging.ERROR)] if is_ingress else [],
        send_default_pii=False,
        max_request_body_size="never",
        include_local_variables=False,
        max_breadcrumbs=0,  # they would carry other requests' log lines and SQL along
        event_scrubber=EventScrubber(
            denylist=DEFAULT_DENYLIST + SECRET_NAMES, pii_denylist=DEFAULT_PII_DENYLIST, recursive=True
        ),
        before_send=scrub,
        before_send_transaction=scrub,
    )
    # the question itself logs an error where it cannot be answered: that would be the next one withheld, for ever
    ignore_logger("evidence.mode_standing")


class Teller(Protocol):
    """Tells somebody outside of what is over."""

    def tell_deliveries(self, deliveries: Sequence[CommittedDelivery]) -> None: ...

    def tell_job(self, job: EndedJob) -> None: ...

    def tell_request(self, request: AnsweredRequest) -> None: ...


def start_traces(argv: list[str]) -> None:
    """A worker tells Sentry and OpenTelemetry of what it committed and of its ops jobs, where they are asked for;
    nothing is loaded else.

    The ingress makes no spans: what it knows rides with the events, and the worker tells it. The console's are made in
    the process that serves: `autocom.request_spans`.
    """
    environment = settings.AUTOCOM
    if argv[1:2] != ["worker"]:
        return
    from ingestion.committed import LISTENERS  # loads models
    from ingestion.worker import JOB_LISTENERS, PERIODIC

    if environment.sentry_dsn:
        from autocom.sentry_traces import CheckIns

        JOB_LISTENERS.append(CheckIns(periodic=PERIODIC))
    for teller in tellers(environment):
        LISTENERS.append(teller.tell_deliveries)
        JOB_LISTENERS.append(teller.tell_job)


def tellers(environment: Environment) -> list[Teller]:
    """Those that this environment asks for; they end with the process."""
    found: list[Teller] = []
    if environment.sentry_dsn and environment.sentry_traces_share:
        from autocom.sentry_traces import TransactionTeller

        found.append(TransactionTeller(share=environment.sentry_traces_share))
    if (environment.otel_endpoint or environment.otel_traces_endpoint) and not environment.otel_is_disabled:
        from autocom.otlp import teller_of

        teller = teller_of(environment)
        atexit.register(teller.close)
        found.append(teller)
    return found
