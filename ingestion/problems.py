"""Every error that a sender can get: RFC 9457 problem+json with a stable code. `docs/errors.md` lists them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from enum import StrEnum


class Problem(StrEnum):
    LENGTH_REQUIRED = "length_required"
    BODY_TOO_LARGE = "body_too_large"
    BODY_TIMEOUT = "body_timeout"
    BODY_INCOMPLETE = "body_incomplete"
    REQUEST_MALFORMED = "request_malformed"
    BODY_INVALID = "body_invalid"
    CONTENT_TYPE_UNSUPPORTED = "content_type_unsupported"
    CONTENT_ENCODING_UNSUPPORTED = "content_encoding_unsupported"
    METHOD_NOT_ALLOWED = "method_not_allowed"
    NOT_FOUND = "not_found"
    PROVIDER_UNKNOWN = "provider_unknown"
    PROVIDER_DISABLED = "provider_disabled"
    PROVIDERS_NOT_LOADED = "providers_not_loaded"
    UNAUTHORIZED = "unauthorized"
    IDENTITY_CONFLICT = "identity_conflict"
    TOKEN_REUSED = "token_reused"  # noqa: S105  (a code, not a token)
    LANE_FULL = "lane_full"
    BUFFER_UNAVAILABLE = "buffer_unavailable"
    BUFFER_FULL = "buffer_full"
    INGRESS_BUSY = "ingress_busy"
    INTERNAL_ERROR = "internal_error"


@dataclass(frozen=True, slots=True)
class ProblemText:
    status: int
    title: str
    detail: str


TEXTS: dict[Problem, ProblemText] = {
    Problem.LENGTH_REQUIRED: ProblemText(
        411, "Length required", "Send a Content-Length header; chunked bodies are not taken."
    ),
    Problem.BODY_TOO_LARGE: ProblemText(413, "Body too large", "The body is above the limit of this endpoint."),
    Problem.BODY_TIMEOUT: ProblemText(408, "Body too slow", "The body did not arrive in time. Send it again."),
    Problem.BODY_INCOMPLETE: ProblemText(
        400, "Body incomplete", "The body has fewer or more bytes than Content-Length says."
    ),
    Problem.REQUEST_MALFORMED: ProblemText(400, "Request malformed", "This is no HTTP/1.1, or has too many headers."),
    Problem.BODY_INVALID: ProblemText(422, "Body not understood", "The body is not what this provider sends."),
    Problem.CONTENT_TYPE_UNSUPPORTED: ProblemText(
        415, "Content type not taken", "Send the content type of this provider."
    ),
    Problem.CONTENT_ENCODING_UNSUPPORTED: ProblemText(
        415, "Content encoding not taken", "Send the body without compression."
    ),
    Problem.METHOD_NOT_ALLOWED: ProblemText(405, "Method not allowed", "Webhooks are sent with POST."),
    Problem.NOT_FOUND: ProblemText(404, "Not found", "Webhooks are sent to /webhooks/<provider>."),
    Problem.PROVIDER_UNKNOWN: ProblemText(
        404, "Provider unknown", "No provider has this name. Check the URL's last part."
    ),
    Problem.PROVIDER_DISABLED: ProblemText(
        503, "Provider disabled", "This provider is switched off here. Send it again when it is on."
    ),
    Problem.PROVIDERS_NOT_LOADED: ProblemText(429, "Starting", "The providers are not loaded yet. Send it again."),
    Problem.UNAUTHORIZED: ProblemText(
        401,
        "Not verified",
        "Credentials or signature do not fit. A proxy or framework that changes the body is the usual cause: "
        "sign the exact bytes.",
    ),
    Problem.IDENTITY_CONFLICT: ProblemText(
        409,
        "Same identity, other content",
        "An event with this identity was accepted before with other content. Both are kept.",
    ),
    Problem.TOKEN_REUSED: ProblemText(
        409,
        "Token used before",
        "The token of this signature came before with another event. Both are kept.",
    ),
    Problem.LANE_FULL: ProblemText(
        503, "Busy", "Nothing of what was refused was stored. Send it again after Retry-After."
    ),
    Problem.BUFFER_UNAVAILABLE: ProblemText(503, "Busy", "Nothing was promised. Send it again after Retry-After."),
    Problem.BUFFER_FULL: ProblemText(503, "Busy", "Nothing was stored. Send it again after Retry-After."),
    Problem.INGRESS_BUSY: ProblemText(503, "Busy", "Nothing was looked at. Send it again after Retry-After."),
    Problem.INTERNAL_ERROR: ProblemText(500, "Fault of ours", "Nothing was promised. Send it again."),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """What goes back to the sender, whatever server carries it.

    `code` is counted; accepted and duplicate are codes too.
    """

    status: int
    body: bytes
    code: str
    content_type: str = "application/json"
    headers: tuple[tuple[str, str], ...] = ()


def problem_reply(
    problem: Problem,
    *,
    request_id: str = "",
    detail: str = "",
    status: int = 0,
    retry_after_seconds: int = 1,
    **members: object,
) -> Reply:
    """`status` replaces the usual one where a provider reads statuses in its own way."""
    text = TEXTS[problem]
    used_status = status or text.status
    body = {
        "type": f"urn:autocom:problem:{problem}",
        "title": text.title,
        "status": used_status,
        "detail": detail or text.detail,
        "code": problem,
        **({"request_id": request_id} if request_id else {}),
        **members,
    }
    headers: tuple[tuple[str, str], ...] = ()
    if used_status in (429, 503):
        headers = (("Retry-After", str(retry_after_seconds)),)
    elif used_status == 401:
        headers = (("WWW-Authenticate", 'Bearer realm="webhooks"'),)
    elif used_status == 405:
        headers = (("Allow", "POST"),)
    return Reply(
        status=used_status,
        body=json.dumps(body, separators=(",", ":")).encode(),
        code=problem,
        content_type="application/problem+json",
        headers=headers,
    )
