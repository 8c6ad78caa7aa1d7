"""Refusals of the API: RFC 9457 problem+json with a stable code. `docs/api.md` lists them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from django.core.exceptions import PermissionDenied, RequestDataTooBig
from django.db import InterfaceError, OperationalError
from django.http import Http404, HttpResponse
from rest_framework.exceptions import (
    APIException,
    AuthenticationFailed,
    MethodNotAllowed,
    NotAuthenticated,
    ParseError,
    Throttled,
    UnsupportedMediaType,
)

from autocom.kernel.errors import AutocomError
from console.api.authentication import REALM
from console.api.v1 import errors as refusals
from evidence.errors import AuditLogBusy
from evidence.gates.spec import GateUnknown
from evidence.orders.stop import NotUnderWay
from evidence.runs.asked import ReplayRefused, ReplayUnderWay
from evidence.runs.folders import RunUnknown
from evidence.store import errors
from ingestion.buffer.store import BufferUnavailable

RETRY_AFTER_SECONDS = 10
STATUSES: Mapping[str, int] = {
    "evidence_request_invalid": 400,
    "evidence_length_required": 411,
    errors.DigestInvalid.code: 400,
    errors.Incomplete.code: 400,
    errors.ArtifactUnknown.code: 404,
    errors.ChecksumMismatch.code: 409,
    errors.ArtifactChanged.code: 500,
    errors.ArtifactMissing.code: 500,
    errors.TooLarge.code: 413,
    errors.PartialBusy.code: 503,
    errors.TooManyPartials.code: 503,
    errors.QuotaReached.code: 507,
    errors.StoreUnavailable.code: 503,
    AuditLogBusy.code: 503,
    refusals.RequestInvalid.code: 400,
    refusals.NotHere.code: 404,
    refusals.ProofMissing.code: 404,
    GateUnknown.code: 404,
    RunUnknown.code: 404,
    ReplayRefused.code: 422,
    ReplayUnderWay.code: 409,
    NotUnderWay.code: 409,
    refusals.BundleTooLarge.code: 413,
    refusals.KeyReused.code: 422,
    refusals.KeyUnderWay.code: 409,
    BufferUnavailable.code: 503,
    "database_unavailable": 503,
    "body_too_large": 413,
    "media_type_unsupported": 415,
    "rate_limited": 429,
    "service_token_refused": 401,
    "authentication_required": 401,
    "permission_refused": 403,
    "service_accounts_never_decide": 403,
    "method_not_allowed": 405,
}


class RequestInvalid(errors.StoreError):
    code = "evidence_request_invalid"


class LengthRequired(errors.StoreError):
    code = "evidence_length_required"

    def __init__(self) -> None:
        super().__init__("send a Content-Length with a number of bytes; chunked bodies are not taken")


def problem(error: Exception, context: Mapping[str, Any]) -> HttpResponse:
    """As DRF's exception handler. Raises what is no refusal, for Django's 500."""
    match error:
        case AutocomError() if error.code in STATUSES:
            return problem_response(error.code, str(error), retryable=error.retryable)
        case AuthenticationFailed():
            codes = error.get_codes()
            code = codes if codes in STATUSES else "permission_refused"
            return problem_response(str(code), str(error.detail))
        case NotAuthenticated():
            return problem_response("authentication_required", "send a service token as Authorization: Bearer acst_…")
        case PermissionDenied():
            return problem_response("permission_refused", f"this takes the permission {error}")
        case ParseError():
            return problem_response(refusals.RequestInvalid.code, f"the body is no JSON: {error.detail}")
        case UnsupportedMediaType():
            return problem_response("media_type_unsupported", "send the body as application/json")
        case RequestDataTooBig():
            return problem_response("body_too_large", "send fewer things at once")
        case Throttled():
            return problem_response(
                "rate_limited",
                "more calls in this minute than API_RATE_LIMIT",
                after_seconds=int(getattr(error, "wait", None) or 1),
            )
        case OperationalError() | InterfaceError():
            return problem_response("database_unavailable", "PostgreSQL cannot be asked", retryable=True)
        case APIException(status_code=403):  # DRF's own word for a missing CSRF header
            return problem_response("permission_refused", str(error.detail))
        case MethodNotAllowed():
            return problem_response("method_not_allowed", str(error.detail))
        case Http404():
            is_v1 = str(context["request"].path).startswith("/api/v1/")
            code = refusals.NotHere.code if is_v1 else errors.ArtifactUnknown.code
            return problem_response(code, str(error) or "there is no such address")
    raise error


def problem_response(code: str, detail: str, *, retryable: bool = False, after_seconds: int = 0) -> HttpResponse:
    status = STATUSES[code]
    body = {"type": "about:blank", "title": code.replace("_", " "), "status": status, "code": code, "detail": detail}
    response = HttpResponse(json.dumps(body), status=status, content_type="application/problem+json")
    if status == 401:
        response["WWW-Authenticate"] = REALM
    if retryable or after_seconds:
        response["Retry-After"] = str(after_seconds or RETRY_AFTER_SECONDS)
    response["Cache-Control"] = "no-store"
    return response
