"""Why the public log refused a request: RFC 9457 problem+json with a stable code. `docs/errors.md` lists them."""

from __future__ import annotations

import json
from collections.abc import Callable
from enum import StrEnum
from functools import wraps
from typing import Any

from django.db import Error
from django.http import HttpRequest, HttpResponse

from evidence.tiles.sealed import NotConsistent, NotPrepared, NotSealedThatFar
from evidence.witnesses.errors import CosignatureRefused


class LogProblem(StrEnum):
    LOG_UNKNOWN = "log_unknown"
    LOG_NOT_SEALED = "log_not_sealed"
    LOG_SIZE_UNKNOWN = "log_size_unknown"
    LOG_REQUEST_MALFORMED = "log_request_malformed"
    LOG_NOT_CONSISTENT = "log_not_consistent"
    LOG_UNAVAILABLE = "log_unavailable"
    LOG_METHOD_NOT_ALLOWED = "log_method_not_allowed"
    COSIGNATURE_TOO_LARGE = "cosignature_too_large"
    COSIGNATURE_MALFORMED = "cosignature_malformed"
    COSIGNATURE_CHECKPOINT_UNKNOWN = "cosignature_checkpoint_unknown"
    COSIGNATURE_WITNESS_UNKNOWN = "cosignature_witness_unknown"
    COSIGNATURE_INVALID = "cosignature_invalid"


STATUSES = {
    LogProblem.LOG_UNKNOWN: 404,
    LogProblem.LOG_NOT_SEALED: 404,
    LogProblem.LOG_SIZE_UNKNOWN: 404,
    LogProblem.LOG_REQUEST_MALFORMED: 400,
    LogProblem.LOG_NOT_CONSISTENT: 409,
    LogProblem.LOG_UNAVAILABLE: 503,
    LogProblem.LOG_METHOD_NOT_ALLOWED: 405,
    LogProblem.COSIGNATURE_TOO_LARGE: 413,
    LogProblem.COSIGNATURE_MALFORMED: 400,
    LogProblem.COSIGNATURE_CHECKPOINT_UNKNOWN: 404,
    LogProblem.COSIGNATURE_WITNESS_UNKNOWN: 403,
    LogProblem.COSIGNATURE_INVALID: 400,
}


class Refused(Exception):
    def __init__(self, problem: LogProblem, detail: str) -> None:
        super().__init__(detail)
        self.problem = problem


def problem_response(problem: LogProblem, detail: str) -> HttpResponse:
    status = STATUSES[problem]
    told = {
        "type": f"urn:autocom:problem:{problem}",
        "title": problem.replace("_", " ").capitalize(),
        "status": status,
        "detail": detail,
        "code": problem,
    }
    response = HttpResponse(json.dumps(told), status=status, content_type="application/problem+json")
    response["Cache-Control"] = "no-store"  # what is not there now may be there in a second
    response["X-Content-Type-Options"] = "nosniff"
    if status == 503:
        response["Retry-After"] = "1"
    response._has_been_logged = True  # type: ignore[attr-defined]  # an answer, no failure of the request
    return response


def told_as_problems[**P](view: Callable[P, HttpResponse]) -> Callable[P, HttpResponse]:
    """Every error that the view knows leaves as problem+json."""

    @wraps(view)
    def answered(*arguments: P.args, **named: P.kwargs) -> HttpResponse:
        try:
            return view(*arguments, **named)
        except Refused as error:
            return problem_response(error.problem, str(error))
        except (NotConsistent, NotPrepared, NotSealedThatFar, CosignatureRefused) as error:
            return problem_response(LogProblem(error.code), str(error))
        except Error:
            return problem_response(LogProblem.LOG_UNAVAILABLE, "PostgreSQL cannot be asked. Ask again.")

    return answered


def allow_only(request: HttpRequest, *methods: str) -> None:
    """Raises Refused."""
    if request.method not in methods:
        raise Refused(LogProblem.LOG_METHOD_NOT_ALLOWED, f"Only {' and '.join(methods)} are answered here.")


def unknown_address(_: HttpRequest, **__: Any) -> HttpResponse:
    return problem_response(LogProblem.LOG_UNKNOWN, "There is nothing here: GET /log/ lists what there is.")
