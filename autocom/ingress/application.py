"""What the ingress does with a request: the view, then the group commit of its envelope, then the answer."""

from __future__ import annotations

import asyncio
import io
import logging
import sys
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache, partial
from typing import Any, override
from urllib.parse import unquote_to_bytes

from django.conf import settings
from django.core.handlers.wsgi import WSGIHandler, WSGIRequest
from django.core.signals import request_finished, request_started
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.urls import ResolverMatch

from autocom.ingress.group_commit import GroupCommit, Unavailable
from autocom.ingress.http import BODY_DEADLINE_SECONDS, Refusal, Request
from autocom.ingress.overload import Turns
from autocom.kernel.ids import new_request_id
from autocom.kernel.request_context import ENVIRON_KEY, REQUEST_ID
from ingestion.accept import Acceptance
from ingestion.latency import RECORDER, Stage
from ingestion.problems import Problem, Reply, problem_reply
from ingestion.provider_book import BOOK, DEFAULT
from ingestion.receive import (
    ACCEPTANCE,
    GROUP_COMMIT,
    HEADERS,
    LENGTH_DIGITS,
    PENDING,
    RECEIVED_US,
    ReplyResponse,
    body_limit_bytes,
    status_of,
)
from ingestion.request_log import REQUEST_LOG, RequestLine
from ingestion.retry_after import retry_after_seconds

DJANGO_READS = (
    ("host", "HTTP_HOST"),
    ("content-encoding", "HTTP_CONTENT_ENCODING"),
    ("accept-encoding", "HTTP_ACCEPT_ENCODING"),
)
WEBHOOKS = "/webhooks"
NO_INPUT = io.BytesIO()
LARGE_BODIES_LIMIT_BYTES = 104_857_600  # four of the largest
LARGE_BODY_SECONDS = BODY_DEADLINE_SECONDS + 2.0  # it has arrived or was cut off by then, and was answered

log = logging.getLogger("autocom.ingress")


class IngressHandler(WSGIHandler):
    """Django's handler where URLs are few and no request is a transaction."""

    _matches: dict[str, ResolverMatch]

    def __init__(self) -> None:
        self._matches = {}
        super().__init__()

    @override
    def resolve_request(self, request: HttpRequest) -> ResolverMatch:
        """The resolver's answer, remembered for known providers: asking it costs as much as parsing a body."""
        match = self._matches.get(request.path_info)
        if match is None:
            match = super().resolve_request(request)
            if known_name({"PATH_INFO": request.path_info}):
                self._matches[request.path_info] = match
        request.resolver_match = match
        return match

    @override
    def get_response(self, request: HttpRequest) -> HttpResponseBase:
        """Without what Django does for responses that are closed later and for its own log of each 4xx and 5xx."""
        chain: Callable[[HttpRequest], HttpResponseBase] = self._middleware_chain  # type: ignore[attr-defined]
        return chain(request)

    @override
    def make_view_atomic(self, view: Callable[..., Any]) -> Callable[..., Any]:
        return view  # there are no ATOMIC_REQUESTS, so asking each database for them finds none


class IngressApplication:
    """One per ingress process."""

    def __init__(self, *, group: GroupCommit) -> None:
        self._django = IngressHandler()
        self._group = group
        self._body_limit_bytes: int = settings.AUTOCOM.body_limit_bytes
        self._large_bodies = LargeBodies()
        self._turns = Turns(serve=self._serve, shed=self._shed, is_behind=group.is_behind)
        self._threads = ThreadPoolExecutor(max_workers=4, thread_name_prefix="apart")

    def refusal(self, request: Request) -> Refusal | None:
        """The length decides before a byte of the body is read."""
        length = request.headers.get("content-length", "")
        if "transfer-encoding" in request.headers or (request.method == "POST" and not length):
            # and the connection ends: bytes of unknown length would be read as the next request
            return Refusal(Problem.LENGTH_REQUIRED)
        if len(length) > LENGTH_DIGITS:
            return Refusal(Problem.BODY_TOO_LARGE, {"limit_bytes": self._body_limit_bytes})
        if length.isascii() and length.isdigit() and int(length) > self._body_limit_bytes:
            return self._refusal_of_large(name_of(unquote(request.path)), int(length))
        return None

    def _refusal_of_large(self, name: str, length_bytes: int) -> Refusal | None:
        """Some providers send more than the usual limit: taken from them, and few at once."""
        limit_bytes = body_limit_bytes(name)
        if length_bytes > limit_bytes:
            return Refusal(Problem.BODY_TOO_LARGE, {"limit_bytes": limit_bytes})
        if not self._large_bodies.takes(length_bytes, now=time.monotonic()):
            return Refusal(Problem.INGRESS_BUSY)
        return None

    def refuse(self, request: Request, refusal: Refusal) -> Reply:
        """Counted and logged like every other answer."""
        call = Call(request)
        provider = known_name(call.environ) if request.method else ""
        status = status_of(refusal.problem, provider=provider)
        reply = problem_reply(refusal.problem, request_id=str(call.request_id), status=status, **refusal.members)
        self._note(call, reply, provider)
        return reply

    def serve(self, request: Request, respond: Callable[[Reply], None]) -> None:
        if request.path.startswith(WEBHOOKS.encode()):
            self._turns.take(request, respond)
        else:  # health and metrics answer under any load
            self._serve(request, respond)

    def _serve(self, request: Request, respond: Callable[[Reply], None]) -> None:
        call = Call(request)
        if not call.environ["PATH_INFO"].startswith(WEBHOOKS):
            self._serve_apart(call, respond)
            return
        try:
            self._receive(call, respond)
        except Exception as error:  # noqa: BLE001  (the sender gets an answer, whatever is wrong here)
            reply = self._fault(call, error)
            respond(reply)
            self._note(call, reply, "")

    def _shed(self, request: Request, respond: Callable[[Reply], None]) -> None:
        """Refused unseen, at a fraction of what serving costs; counted, without an id or a line in the request log."""
        provider = name_of(unquote(request.path))
        respond(busy_reply(status_of(Problem.INGRESS_BUSY, provider=provider), retry_after_seconds()))
        RECORDER.record_outcome(provider if BOOK.named(provider) else "", Problem.INGRESS_BUSY)

    def _receive(self, call: Call, respond: Callable[[Reply], None]) -> None:
        REQUEST_ID.set(call.request_id)  # holds while the view runs: what it logs bears the id
        request = WSGIRequest(call.environ)
        request._body = call.request.body  # as if Django had read it: it is here already, whole
        response = self._django.get_response(request)
        if response is not PENDING:
            reply = reply_of(response)
            respond(reply)
            self._note(call, reply, known_name(call.environ))
            return
        acceptance: Acceptance = call.environ[ACCEPTANCE]
        self._group.enqueue(acceptance.words(), partial(self._promised, call, acceptance, respond))

    def _promised(self, call: Call, acceptance: Acceptance, respond: Callable[[Reply], None], answer: Any) -> None:
        try:
            reply = acceptance.unavailable() if isinstance(answer, Unavailable) else acceptance.reply(answer)
        except Exception as error:  # noqa: BLE001  (the sender gets an answer, whatever is wrong here)
            reply = self._fault(call, error)
        respond(reply)
        self._note(call, reply, acceptance.provider)

    def _fault(self, call: Call, error: BaseException) -> Reply:
        request_id = str(call.request_id)
        log.error("ingress_failed", exc_info=error, extra={"request_id": request_id})
        status = status_of(Problem.INTERNAL_ERROR, provider=known_name(call.environ))
        return problem_reply(Problem.INTERNAL_ERROR, request_id=request_id, status=status)

    def _note(self, call: Call, reply: Reply, provider: str) -> None:
        duration_us = (time.monotonic_ns() - call.received_ns) // 1_000
        RECORDER.record_outcome(provider, reply.code)
        if reply.code in ("accepted", "duplicate"):
            RECORDER.record(Stage.ACK, provider, duration_us)
        REQUEST_LOG.append(
            RequestLine(
                at_us=call.received_us,
                request_id=str(call.request_id),
                provider=provider,
                status=reply.status,
                code=reply.code,
                ack_us=duration_us,
                body_bytes=call.environ["CONTENT_LENGTH"],
                reason=call.environ.get("autocom.reason", ""),
            )
        )

    def _serve_apart(self, call: Call, respond: Callable[[Reply], None]) -> None:
        """Health and metrics may wait for PostgreSQL: in a thread, away from the acks."""
        loop = asyncio.get_running_loop()

        def done(served: asyncio.Future[Reply]) -> None:
            error = served.exception()
            respond(self._fault(call, error) if error else served.result())

        loop.run_in_executor(self._threads, self._serve_blocking, call.environ).add_done_callback(done)

    def _serve_blocking(self, environ: dict[str, Any]) -> Reply:
        request_started.send(sender=type(self), environ=environ)
        try:
            return reply_of(self._django.get_response(WSGIRequest(environ)))
        finally:
            request_finished.send(sender=type(self))


@cache  # few: by status and by seconds
def busy_reply(status: int, wait_seconds: int) -> Reply:
    return problem_reply(Problem.INGRESS_BUSY, status=status, retry_after_seconds=wait_seconds)


class LargeBodies:
    """How many bytes of bodies above the usual limit may come in: so many in the time that one can take to arrive."""

    def __init__(self) -> None:
        self._begun: deque[tuple[float, int]] = deque()
        self._size_bytes = 0

    def takes(self, size_bytes: int, *, now: float) -> bool:
        while self._begun and self._begun[0][0] < now - LARGE_BODY_SECONDS:
            self._size_bytes -= self._begun.popleft()[1]
        if self._size_bytes + size_bytes > LARGE_BODIES_LIMIT_BYTES:
            return False
        self._begun.append((now, size_bytes))
        self._size_bytes += size_bytes
        return True


class Call:
    """One request on its way through the application."""

    __slots__ = ("environ", "received_ns", "received_us", "request", "request_id")

    def __init__(self, request: Request) -> None:
        self.request = request
        self.received_ns = time.monotonic_ns()
        self.received_us = time.time_ns() // 1_000
        self.request_id = new_request_id(now_us=self.received_us)
        self.environ = environ_of(request)
        self.environ[RECEIVED_US] = self.received_us
        self.environ[ENVIRON_KEY] = self.request_id


def environ_of(request: Request) -> dict[str, Any]:
    """What WSGI would say of the request."""
    headers = request.headers
    environ: dict[str, Any] = {
        "REQUEST_METHOD": request.method,
        "SCRIPT_NAME": "",
        "PATH_INFO": unquote(request.path),
        "QUERY_STRING": request.query,
        "SERVER_PROTOCOL": f"HTTP/{request.version}",
        "SERVER_NAME": "ingress",
        "SERVER_PORT": "",
        "REMOTE_ADDR": request.client,
        "wsgi.url_scheme": "http",
        "wsgi.input": NO_INPUT,
        "wsgi.errors": sys.stderr,
        "CONTENT_TYPE": headers.get("content-type", ""),
        "CONTENT_LENGTH": headers.get("content-length", ""),
        GROUP_COMMIT: True,
        HEADERS: headers,
    }
    for name, key in DJANGO_READS:
        if name in headers:
            environ[key] = headers[name]
    return environ


def known_name(environ: dict[str, Any]) -> str:
    """The provider's name for the counters, only if it is one of ours: an attacker must not make label values."""
    name = name_of(environ["PATH_INFO"])
    return name if BOOK.named(name) else ""


def name_of(path: str) -> str:
    """The provider that the path names, whether or not there is one."""
    return path.removeprefix(WEBHOOKS).strip("/") or DEFAULT


def unquote(path: bytes) -> str:
    return unquote_to_bytes(path).decode("latin-1")


def reply_of(response: HttpResponseBase) -> Reply:
    assert isinstance(response, HttpResponse)  # noqa: S101  (nothing here streams)
    if isinstance(response, ReplyResponse):
        return response.reply
    if response.status_code == 404:
        return problem_reply(Problem.NOT_FOUND)
    return Reply(
        status=response.status_code,
        body=response.content,
        code=str(response.status_code),
        content_type=response.get("Content-Type", "text/plain"),
        headers=tuple((k, v) for k, v in response.items() if k.lower() not in ("content-type", "content-length")),
    )
