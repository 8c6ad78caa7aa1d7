"""The RSGI application that granian serves.

Reads a body within its limits, runs the view, answers when the promise is made.
"""

from __future__ import annotations

import asyncio
import io
import logging
import time
from collections.abc import Callable
from typing import Any, Protocol, override

from django.conf import settings
from django.core.handlers.wsgi import WSGIHandler, WSGIRequest
from django.core.signals import request_finished, request_started
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.urls import ResolverMatch

from autocom.ingress.body_deadlines import BodyDeadlines
from autocom.ingress.group_commit import GroupCommit, Unavailable
from autocom.kernel.ids import new_request_id
from autocom.kernel.request_context import ENVIRON_KEY, REQUEST_ID
from ingestion.accept import Acceptance
from ingestion.housekeeping import Housekeeping
from ingestion.latency import RECORDER, Stage
from ingestion.problems import Problem, Reply, problem_reply
from ingestion.provider_book import BOOK
from ingestion.receive import (
    ACCEPTANCE,
    GROUP_COMMIT,
    HEADERS,
    LENGTH_DIGITS,
    PENDING,
    RECEIVED_US,
    ReplyResponse,
)
from ingestion.request_log import REQUEST_LOG, RequestLine

BODY_DEADLINE_SECONDS = 5.0
FINISH_LIMIT_TIMES = 16  # of a body that is too large, so many times the limit is read and thrown away
DJANGO_READS = (
    ("host", "HTTP_HOST"),
    ("content-encoding", "HTTP_CONTENT_ENCODING"),
    ("accept-encoding", "HTTP_ACCEPT_ENCODING"),
)
WEBHOOKS = "/webhooks"
BODY = "autocom.body"  # in environ: the raw body, read within its limits

log = logging.getLogger("autocom.ingress")


class RsgiProtocol(Protocol):
    """The part of granian's HTTP protocol that is used here."""

    async def __call__(self) -> bytes: ...

    def __aiter__(self) -> Any: ...

    def response_bytes(self, status: int, headers: list[tuple[str, str]], body: bytes) -> None: ...


class IngressHandler(WSGIHandler):
    """Django's handler where URLs are few and no request is a transaction."""

    _matches: dict[str, ResolverMatch]

    def __init__(self) -> None:
        self._matches = {}
        super().__init__()

    @override
    def resolve_request(self, request: HttpRequest) -> ResolverMatch:
        """The resolver's answer, remembered for the paths of known providers: asking it costs as much as parsing a body."""
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
        response: HttpResponseBase = self._middleware_chain(request)
        return response

    @override
    def make_view_atomic(self, view: Callable[..., Any]) -> Callable[..., Any]:
        return view  # there are no ATOMIC_REQUESTS, so asking each database for them finds none


class IngressApplication:
    """One per ingress process."""

    def __init__(self) -> None:
        self._django = IngressHandler()
        self._group: GroupCommit | None = None
        self._body_deadlines = BodyDeadlines(limit_seconds=BODY_DEADLINE_SECONDS)
        self._housekeeping = Housekeeping(book=BOOK, recorder=RECORDER)
        self._body_limit_bytes: int = settings.AUTOCOM.body_limit_bytes

    def __rsgi_init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._group = GroupCommit(settings.AUTOCOM.redis_url)
        self._housekeeping.start()

    def __rsgi_del__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._housekeeping.stop()

    async def __rsgi__(self, scope: Any, protocol: RsgiProtocol) -> None:
        if scope.proto != "http":
            return
        if not scope.path.startswith(WEBHOOKS):
            await self._serve_apart(scope, protocol)
            return
        received_ns = time.monotonic_ns()
        environ = environ_of(scope)
        received_us = environ[RECEIVED_US] = time.time_ns() // 1_000
        environ[ENVIRON_KEY] = new_request_id(now_us=received_us)
        try:
            reply, provider = await self._reply(environ, protocol)
        except Exception:
            request_id = str(environ[ENVIRON_KEY])
            log.exception("ingress_failed", extra={"request_id": request_id})
            reply, provider = problem_reply(Problem.INTERNAL_ERROR, request_id=request_id), ""
        answer(protocol, reply)
        duration_us = (time.monotonic_ns() - received_ns) // 1_000
        RECORDER.record_outcome(provider, reply.code)
        if reply.code in ("accepted", "duplicate"):
            RECORDER.record(Stage.ACK, provider, duration_us)
        REQUEST_LOG.append(
            RequestLine(
                at_us=received_us,
                request_id=str(environ[ENVIRON_KEY]),
                provider=provider,
                status=reply.status,
                code=reply.code,
                ack_us=duration_us,
                body_bytes=environ.get("CONTENT_LENGTH", ""),
                reason=environ.get("autocom.reason", ""),
            )
        )
        if reply.code == Problem.BODY_TOO_LARGE:
            await self._let_finish(protocol)

    async def _reply(self, environ: dict[str, Any], protocol: RsgiProtocol) -> tuple[Reply, str]:
        """The reply, and the provider's name as far as it is known."""
        refusal = await self._read_body(environ, protocol)
        if refusal is not None:
            return refusal, ""
        request = WSGIRequest(environ)
        if (body := environ.get(BODY)) is not None:
            request._body = body  # as if Django had read it: it is here already, whole
        REQUEST_ID.set(environ[ENVIRON_KEY])  # holds up to the next await: what the view logs bears it
        response = self._django.get_response(request)
        match response:
            case _ if response is PENDING:
                acceptance: Acceptance = environ[ACCEPTANCE]
                try:
                    assert self._group is not None  # noqa: S101  (granian calls __rsgi_init__ first)
                    return acceptance.reply(await self._group.commit(acceptance.words())), acceptance.provider
                except Unavailable:
                    return acceptance.unavailable(), acceptance.provider
            case ReplyResponse(reply=reply):
                return reply, known_name(environ)
        return reply_of(response), ""

    async def _read_body(self, environ: dict[str, Any], protocol: RsgiProtocol) -> Reply | None:
        """Puts the body into the environ, or gives the refusal.

        A slow body holds no thread; a long one is cut off at the limit.
        """
        length = environ.get("CONTENT_LENGTH", "")
        if environ["REQUEST_METHOD"] != "POST":
            return None  # the view answers 405
        if not (length.isascii() and length.isdigit()):
            return problem_reply(Problem.LENGTH_REQUIRED)
        if len(length) > LENGTH_DIGITS or int(length) > self._body_limit_bytes:
            return problem_reply(Problem.BODY_TOO_LARGE, limit_bytes=self._body_limit_bytes)
        try:
            # at most Content-Length bytes: that is how HTTP/1.1 frames it
            body = await self._body_deadlines.read(protocol())
        except TimeoutError:
            return problem_reply(Problem.BODY_TIMEOUT)
        except Exception as error:  # noqa: BLE001  (granian raises its own types when a sender breaks off)
            log.info("body_broken_off", extra={"error": str(error)})
            return problem_reply(Problem.BODY_INCOMPLETE)
        environ[BODY] = body[: int(length)]
        return None

    async def _let_finish(self, protocol: RsgiProtocol) -> None:
        """Reads on, after the answer, for a while.

        A connection closed on unread bytes is reset, and the sender never sees the answer.
        """
        left_bytes = self._body_limit_bytes * FINISH_LIMIT_TIMES
        try:
            async with asyncio.timeout(BODY_DEADLINE_SECONDS):
                async for chunk in protocol:
                    left_bytes -= len(chunk)
                    if left_bytes < 0:
                        return
        except Exception as error:  # noqa: BLE001  (answered already; granian raises its own types when a sender breaks off)
            log.debug("body_not_finished", extra={"error": str(error)})

    async def _serve_apart(self, scope: Any, protocol: RsgiProtocol) -> None:
        """Health and metrics may wait for PostgreSQL: in a thread, away from the acks."""
        environ = environ_of(scope)
        reply = await asyncio.get_running_loop().run_in_executor(None, self._serve_blocking, environ)
        answer(protocol, reply)

    def _serve_blocking(self, environ: dict[str, Any]) -> Reply:
        request_started.send(sender=type(self), environ=environ)
        try:
            return reply_of(self._django.get_response(WSGIRequest(environ)))
        finally:
            request_finished.send(sender=type(self))


def environ_of(scope: Any) -> dict[str, Any]:
    """What WSGI would say of the request, without a body."""
    environ: dict[str, Any] = {
        "REQUEST_METHOD": scope.method,
        "SCRIPT_NAME": "",
        "PATH_INFO": scope.path.encode().decode("latin-1"),  # granian has undone the percent signs already
        "QUERY_STRING": scope.query_string or "",
        "SERVER_PROTOCOL": f"HTTP/{scope.http_version}",
        "SERVER_NAME": "ingress",
        "SERVER_PORT": scope.server.rsplit(":", 1)[-1],
        "REMOTE_ADDR": scope.client.rsplit(":", 1)[0],
        "wsgi.url_scheme": scope.scheme,
        "wsgi.input": io.BytesIO(),
        "wsgi.errors": io.StringIO(),
        GROUP_COMMIT: True,
    }
    headers: dict[str, str] = {}
    for name, value in scope.headers.items():
        # joined as HTTP allows; two lengths joined are no number any more, hence 411
        headers[name] = f"{headers[name]}, {value}" if name in headers else value
    environ[HEADERS] = headers
    environ["CONTENT_TYPE"] = headers.get("content-type", "")
    environ["CONTENT_LENGTH"] = headers.get("content-length", "")
    for name, key in DJANGO_READS:
        if name in headers:
            environ[key] = headers[name]
    return environ


def known_name(environ: dict[str, Any]) -> str:
    """The provider's name for the counters, only if it is one of ours: an attacker must not make label values."""
    name = environ["PATH_INFO"].removeprefix(WEBHOOKS).strip("/") or "default"
    return name if BOOK.named(name) else ""


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


def answer(protocol: RsgiProtocol, reply: Reply) -> None:
    headers = [("content-type", reply.content_type), *((name.lower(), value) for name, value in reply.headers)]
    protocol.response_bytes(reply.status, headers, reply.body)
