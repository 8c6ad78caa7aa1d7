"""HTTP in: size and length, the raw body once, the provider's verdict, and the envelope that awaits its promise."""

from __future__ import annotations

import logging
from functools import cache, partial
from typing import Any
from uuid import UUID

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from rest_framework.authentication import BaseAuthentication
from rest_framework.exceptions import APIException, MethodNotAllowed
from rest_framework.negotiation import BaseContentNegotiation
from rest_framework.renderers import BaseRenderer, JSONRenderer
from rest_framework.request import Request
from rest_framework.views import APIView

from autocom.kernel.clock import SYSTEM_CLOCK, Clock
from autocom.kernel.ids import new_request_id
from autocom.kernel.request_context import ENVIRON_KEY
from ingestion.accept import Acceptance, acceptance_of
from ingestion.buffer.store import BufferUnavailable, lane_buffer
from ingestion.problems import Problem, Reply, problem_reply
from ingestion.provider_book import BOOK, DEFAULT, KnownProvider
from ingestion.providers.adapter import (
    VERIFIED_BY,
    BodyInvalid,
    ContentTypeUnsupported,
    InboundDelivery,
    Refused,
)
from ingestion.refusals.record import REFUSALS
from ingestion.verify import verify

CLOCK: Clock = SYSTEM_CLOCK
GROUP_COMMIT = (
    "autocom.group_commit"  # in environ: this server commits acks as a group, so the view must not ask Redis itself
)
ACCEPTANCE = "autocom.acceptance"  # in environ: what the server is to promise, where the view answered PENDING
RECEIVED_US = "autocom.received_us"
LENGTH_DIGITS = 18  # of a Content-Length that is looked at: int() refuses thousands of digits with an error
HEADERS = "autocom.headers"  # in environ: lower-case names and values, where the server has them so

log = logging.getLogger(__name__)


class Refusal(APIException):
    """A problem on its way to the sender."""

    def __init__(self, problem: Problem, **members: Any) -> None:
        super().__init__(problem)
        self.problem = problem
        self.members = members


class ReplyResponse(HttpResponse):
    """A Reply as Django's response."""

    # by the request log: Django's own line for each 4xx and 5xx would be I/O on this path, at any sender's will
    _has_been_logged = True

    def __init__(self, reply: Reply) -> None:
        super().__init__(reply.body, status=reply.status, content_type=reply.content_type)
        self.reply = reply
        for name, value in reply.headers:
            self[name] = value
        # without it some servers answer in chunks; there is no CommonMiddleware here to set it
        self["Content-Length"] = str(len(reply.body))


# What the view returns to a server that commits acks as a group: "the acceptance is in environ, make the promise".
# Always the same object, as a response for each ack would be made only to be thrown away.
PENDING = HttpResponse(status=202)


class AlwaysJson(BaseContentNegotiation):
    """An odd Accept header must not cost a delivery."""

    def select_parser(self, request: Request, parsers: Any) -> Any:  # noqa: ARG002
        return None

    def select_renderer(self, request: Request, renderers: Any, format_suffix: str | None = None) -> Any:  # noqa: ARG002
        renderer: BaseRenderer = JSONRenderer()
        return renderer, renderer.media_type


class ProviderSignature(BaseAuthentication):
    """Raises or answers; never None, which DRF reads as "anonymous, carry on"."""

    def authenticate(self, request: Request) -> tuple[KnownProvider, InboundDelivery]:
        http = request._request
        check_size(http)
        body = http.body  # first and once: after request.data the signed bytes are gone
        if len(body) != int(http.META["CONTENT_LENGTH"]):
            raise Refusal(Problem.BODY_INCOMPLETE)
        context = request.parser_context or {}
        provider = known_provider(context["kwargs"].get("provider", DEFAULT))
        inbound = inbound_delivery(http, provider=provider.name, body=body)
        try:
            matched = verify(provider, inbound, now_us=CLOCK.now_us())
        except Refused as refused:
            http.META["autocom.reason"] = refused.reason
            REFUSALS.note(provider, inbound, refused, request_id=request_id_for(http))
            raise Refusal(Problem.UNAUTHORIZED, status=provider.adapter.ACK.unauthorized_status) from None
        http.META[VERIFIED_BY] = matched.fingerprint if matched else ""
        return provider, inbound

    def authenticate_header(self, request: Request) -> str:  # noqa: ARG002
        return 'Bearer realm="webhooks"'


PROVIDER_SIGNATURE = ProviderSignature()


class ReceiveDelivery(APIView):
    """202 once the delivery's events are on their lanes, never before."""

    authentication_classes = (ProviderSignature,)
    permission_classes = ()
    throttle_classes = ()  # no rate limiter on webhooks: their only brake is a full lane
    parser_classes = ()
    renderer_classes = (JSONRenderer,)
    content_negotiation_class = AlwaysJson
    http_method_names = ["post"]
    known: KnownProvider
    inbound: InboundDelivery

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:  # noqa: ARG002
        """Only authentication: negotiation, versions, permissions and throttles have nothing to decide here."""
        if request.method != "POST":
            self.http_method_not_allowed(request)  # before the size and the signature of what no webhook is
        # not through request.user: its guard against AttributeErrors costs more than the signature
        self.known, self.inbound = PROVIDER_SIGNATURE.authenticate(request)

    def post(self, request: Request, provider: str = DEFAULT) -> HttpResponse:  # noqa: ARG002
        known, inbound = self.known, self.inbound
        request_id = request_id_for(request._request)
        if (handshake := known.adapter.handshake(inbound, options=known.options)) is not None:
            return ReplyResponse(
                Reply(
                    status=handshake.status,
                    body=handshake.body,
                    code="handshake",
                    content_type=handshake.content_type,
                )
            )
        try:
            acceptance = acceptance_of(
                known,
                inbound,
                request_id=request_id,
                verified_by=request._request.META[VERIFIED_BY],
                trace=inbound.headers.get("sentry-trace", ""),
            )
        except ContentTypeUnsupported as error:
            raise Refusal(Problem.CONTENT_TYPE_UNSUPPORTED, detail=str(error)) from None
        except BodyInvalid as error:
            raise Refusal(Problem.BODY_INVALID, detail=str(error), status=known.adapter.ACK.invalid_status) from None
        if request._request.META.get(GROUP_COMMIT):
            request._request.META[ACCEPTANCE] = acceptance
            return PENDING
        return ReplyResponse(commit_alone(acceptance))

    def get_exception_handler(self) -> Any:
        return partial(refuse, http=self.request._request)

    def finalize_response(self, request: Request, response: Any, *args: Any, **kwargs: Any) -> Any:  # noqa: ARG002
        # the request knows the view by its context, the view the request: left so, only the garbage collector ends it
        request.parser_context = {}
        return response  # complete already: DRF would only add Vary and negotiate a renderer


def commit_alone(acceptance: Acceptance) -> Reply:
    """One round trip for one delivery, for servers that cannot commit a group."""
    try:
        answers = lane_buffer().append(acceptance.words())
    except BufferUnavailable as error:
        log.warning("buffer_unavailable", extra={"error": str(error)})
        return acceptance.unavailable()
    return acceptance.reply(answers)


def check_size(http: HttpRequest) -> None:
    """Raises Refusal before a byte of the body is read."""
    length = http.META.get("CONTENT_LENGTH") or ""
    if not (length.isascii() and length.isdigit()):
        raise Refusal(Problem.LENGTH_REQUIRED)
    if len(length) > LENGTH_DIGITS or int(length) > body_limit_bytes():
        raise Refusal(Problem.BODY_TOO_LARGE, limit_bytes=body_limit_bytes())
    if http.META.get("HTTP_CONTENT_ENCODING", "identity").lower() != "identity":
        raise Refusal(Problem.CONTENT_ENCODING_UNSUPPORTED)


def known_provider(name: str) -> KnownProvider:
    """Raises Refusal for a name that is unknown, disabled or, just after a start, not yet known."""
    provider = BOOK.named(name)
    if provider is None:
        raise Refusal(Problem.PROVIDER_UNKNOWN if BOOK.is_complete else Problem.PROVIDERS_NOT_LOADED)
    if not provider.enabled:
        raise Refusal(Problem.PROVIDER_DISABLED)
    return provider


def inbound_delivery(http: HttpRequest, *, provider: str, body: bytes) -> InboundDelivery:
    meta = http.META
    headers = meta.get(HEADERS)
    if headers is None:
        headers = {
            name[5:].replace("_", "-").lower(): value for name, value in meta.items() if name.startswith("HTTP_")
        }
        headers["content-type"] = meta.get("CONTENT_TYPE", "")
    query = meta.get("QUERY_STRING", "")
    return InboundDelivery(
        provider=provider,
        headers=headers,
        body=body,
        url=base_url() + http.path + (f"?{query}" if query else ""),
        received_us=meta.get(RECEIVED_US) or CLOCK.now_us(),
    )


@cache
def base_url() -> str:
    """The address that providers sign, from configuration; a Host header is anybody's word."""
    environment = settings.AUTOCOM
    return (environment.app_base_url or f"http://127.0.0.1:{environment.ingress_port}").rstrip("/")


@cache
def body_limit_bytes() -> int:
    return settings.AUTOCOM.body_limit_bytes


def refuse(error: Exception, context: Any, *, http: HttpRequest) -> HttpResponse:  # noqa: ARG001  (DRF's signature)
    """Every error of this view as problem+json.

    Nothing of ours leaks: an unexpected one is logged and says only its code.
    """
    request_id = str(request_id_for(http))
    match error:
        case Refusal():
            return ReplyResponse(problem_reply(error.problem, request_id=request_id, **error.members))
        case MethodNotAllowed():
            return ReplyResponse(problem_reply(Problem.METHOD_NOT_ALLOWED, request_id=request_id))
    log.error("receive_failed", exc_info=error, extra={"request_id": request_id, "path": http.path})
    return ReplyResponse(problem_reply(Problem.INTERNAL_ERROR, request_id=request_id))


def request_id_for(http: HttpRequest) -> UUID:
    """The id that the server gave the request, else a new one, which it keeps."""
    request_id: UUID | None = http.META.get(ENVIRON_KEY)
    if request_id is None:
        received_us = http.META.get(RECEIVED_US) or CLOCK.now_us()
        request_id = http.META[ENVIRON_KEY] = new_request_id(now_us=received_us)
    return request_id
