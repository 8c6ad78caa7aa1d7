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
from autocom.kernel.request_context import ENVIRON_KEY, PERSONAL_TEXTS
from ingestion.accept import Acceptance, acceptance_of
from ingestion.buffer.memory import MEMORY
from ingestion.buffer.store import BufferUnavailable, lane_buffer
from ingestion.certificates import WANTED
from ingestion.personal_texts import texts_of_payload
from ingestion.problems import Problem, Reply, problem_reply
from ingestion.provider_book import BOOK, DEFAULT, KnownProvider
from ingestion.providers.adapter import (
    VERIFIED_BY,
    BodyInvalid,
    ContentTypeUnsupported,
    InboundDelivery,
    Reason,
    Refused,
)
from ingestion.refusals.record import REFUSALS
from ingestion.retry_after import retry_after_seconds
from ingestion.secret_use import SECRET_USES
from ingestion.verify import verify

CLOCK: Clock = SYSTEM_CLOCK
GROUP_COMMIT = (
    "autocom.group_commit"  # in environ: this server commits acks as a group, so the view must not ask Redis itself
)
ACCEPTANCE = "autocom.acceptance"  # in environ: what the server is to promise, where the view answered PENDING
RECEIVED_US = "autocom.received_us"
DISABLED_RETRY_AFTER_SECONDS = 300  # somebody switched it off: nobody is about to switch it on within seconds
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
        name = (request.parser_context or {})["kwargs"].get("provider", DEFAULT)
        check_size(http, limit_bytes=body_limit_bytes(name))
        body = raw_body(http)  # first and once: after request.data the signed bytes are gone
        if len(body) != int(http.META["CONTENT_LENGTH"]):
            raise Refusal(Problem.BODY_INCOMPLETE)
        provider = known_provider(name, http)
        inbound = inbound_delivery(http, provider=provider.name, body=body)
        now_us = CLOCK.now_us()
        try:
            matched = verify(provider, inbound, now_us=now_us)
        except Refused as refused:
            http.META["autocom.reason"] = refused.reason
            REFUSALS.note(provider, inbound, refused, request_id=request_id_for(http))
            if refused.reason is Reason.UNKNOWN_CERTIFICATE:
                WANTED.note(provider=provider.name, url=refused.detail)
            raise Refusal(Problem.UNAUTHORIZED, status=refusal_status(provider, refused)) from None
        SECRET_USES.note(provider=provider.name, secret=matched, now_us=now_us)
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
    http_method_names = ["post", "head"]
    known: KnownProvider
    inbound: InboundDelivery

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:  # noqa: ARG002
        """Only authentication: negotiation, versions, permissions and throttles have nothing to decide here."""
        if request.method != "POST":
            if request.method != "HEAD" or not is_set_up_by_head(kwargs.get("provider", DEFAULT)):
                self.http_method_not_allowed(request)  # before the size and the signature of what no webhook is
            return
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
            )
        except ContentTypeUnsupported as error:
            raise Refusal(Problem.CONTENT_TYPE_UNSUPPORTED, detail=str(error)) from None
        except BodyInvalid as error:
            raise Refusal(Problem.BODY_INVALID, detail=str(error), status=known.adapter.ACK.invalid_status) from None
        if request._request.META.get(GROUP_COMMIT):
            request._request.META[ACCEPTANCE] = acceptance
            return PENDING
        return ReplyResponse(commit_alone(acceptance))

    def head(self, request: Request, provider: str = DEFAULT) -> HttpResponse:  # noqa: ARG002
        """The set-up of a webhook whose provider asks so whether anybody is there."""
        return ReplyResponse(Reply(status=200, body=b"", code="handshake"))

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


def check_size(http: HttpRequest, *, limit_bytes: int) -> None:
    """Raises Refusal before a byte of the body is read."""
    length = http.META.get("CONTENT_LENGTH") or ""
    if not (length.isascii() and length.isdigit()):
        raise Refusal(Problem.LENGTH_REQUIRED)
    if len(length) > LENGTH_DIGITS or int(length) > limit_bytes:
        raise Refusal(Problem.BODY_TOO_LARGE, limit_bytes=limit_bytes)
    if http.META.get("HTTP_CONTENT_ENCODING", "identity").lower() != "identity":
        raise Refusal(Problem.CONTENT_ENCODING_UNSUPPORTED)


def raw_body(http: HttpRequest) -> bytes:
    """The body as it came. Its length was checked: Django's own limit is that of the console's forms."""
    if not hasattr(http, "_body"):
        http._body = http.read()
    body: bytes = http.body
    return body


def known_provider(name: str, http: HttpRequest) -> KnownProvider:
    """Raises Refusal for a name that is unknown, disabled or, just after a start, not yet known."""
    provider = BOOK.named(name)
    if provider is None:
        if BOOK.is_complete:
            raise Refusal(Problem.PROVIDER_UNKNOWN)
        # whose name it is decides which status is not the end of it; only SNS, which says so, gives up after a 429
        raise Refusal(Problem.PROVIDERS_NOT_LOADED, status=503 if is_from_sns(http) else 0)
    if not provider.enabled:
        raise Refusal(
            Problem.PROVIDER_DISABLED,
            status=provider.adapter.ACK.busy_status,
            retry_after_seconds=DISABLED_RETRY_AFTER_SECONDS,
        )
    if MEMORY.is_short:
        raise Refusal(
            Problem.BUFFER_FULL, status=provider.adapter.ACK.busy_status, retry_after_seconds=retry_after_seconds()
        )
    return provider


def is_from_sns(http: HttpRequest) -> bool:
    return "x-amz-sns-message-type" in http.META.get(HEADERS, ()) or "HTTP_X_AMZ_SNS_MESSAGE_TYPE" in http.META


def is_set_up_by_head(name: str) -> bool:
    provider = BOOK.named(name)
    return provider is not None and provider.enabled and provider.adapter.ACK.head_status == 200


def refusal_status(provider: KnownProvider, refused: Refused) -> int:
    """What is not known here yet is asked for again; all else is a plain refusal, alike for every reason."""
    policy = provider.adapter.ACK
    is_ours_to_mend = refused.reason is Reason.UNKNOWN_CERTIFICATE
    return policy.busy_status if is_ours_to_mend else policy.unauthorized_status


def status_of(problem: Problem, *, provider: str) -> int:
    """What this provider must be told so that it sends again what is not its fault; 0: the problem's usual status."""
    known = BOOK.named(provider)
    if known is None:
        return 0
    policy = known.adapter.ACK
    return {
        Problem.INTERNAL_ERROR: policy.fault_status,
        Problem.BODY_TIMEOUT: policy.timeout_status,
        Problem.INGRESS_BUSY: policy.busy_status,
    }.get(problem, 0)


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


def body_limit_bytes(name: str) -> int:
    """Of the provider, whether or not it is served; the configured one where nobody has this name."""
    provider = BOOK.named(name)
    limit: int = settings.AUTOCOM.body_limit_bytes if provider is None else provider.body_limit_bytes
    return limit


def refuse(error: Exception, context: Any, *, http: HttpRequest) -> HttpResponse:
    """Every error of this view as problem+json.

    Nothing of ours leaks: an unexpected one is logged and says only its code.
    """
    request_id = str(request_id_for(http))
    match error:
        case Refusal():
            return ReplyResponse(problem_reply(error.problem, request_id=request_id, **error.members))
        case MethodNotAllowed():
            return ReplyResponse(problem_reply(Problem.METHOD_NOT_ALLOWED, request_id=request_id))
    name = context["kwargs"].get("provider", DEFAULT)
    provider = BOOK.named(name)
    paths = provider.adapter.PERSONAL_PATHS if provider else None
    body = getattr(http, "_body", b"")  # as far as it was read: to read it now could fail again
    token = PERSONAL_TEXTS.set(partial(texts_of_payload, body, paths=paths))
    try:
        log.error("receive_failed", exc_info=error, extra={"request_id": request_id, "path": http.path})
    finally:
        PERSONAL_TEXTS.reset(token)
    status = status_of(Problem.INTERNAL_ERROR, provider=name)
    return ReplyResponse(problem_reply(Problem.INTERNAL_ERROR, request_id=request_id, status=status))


def request_id_for(http: HttpRequest) -> UUID:
    """The id that the server gave the request, else a new one, which it keeps."""
    request_id: UUID | None = http.META.get(ENVIRON_KEY)
    if request_id is None:
        received_us = http.META.get(RECEIVED_US) or CLOCK.now_us()
        request_id = http.META[ENVIRON_KEY] = new_request_id(now_us=received_us)
    return request_id
