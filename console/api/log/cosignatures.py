"""`POST /log/<log>/cosignatures`: a witness brings its signature. No sign-in: the signature itself is the proof."""

from __future__ import annotations

from datetime import UTC, datetime

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.views.decorators.csrf import csrf_exempt

from console.api.log.find import log_named
from console.api.log.problems import LogProblem, Refused, allow_only, told_as_problems
from evidence.errors import AuditLogBusy
from evidence.witnesses.cosign import take_cosignatures, witness_keys

NOTE_LIMIT_BYTES = 16_384


@csrf_exempt  # nothing here is done in the name of whoever is signed in
@told_as_problems
def cosignatures(request: HttpRequest, *, log: str) -> HttpResponse:
    """201 when one was new, 200 when all were known."""
    allow_only(request, "POST")
    name = log_named(log)
    note = _note(request)
    try:
        taken = take_cosignatures(note, log=name, keys=witness_keys(), now=datetime.now(UTC))
    except AuditLogBusy as error:
        raise Refused(LogProblem.LOG_UNAVAILABLE, str(error)) from error
    told = {"cosignatures": [{"vkey": each.cosignature.vkey, "is_new": each.is_new} for each in taken]}
    return JsonResponse(told, status=201 if any(each.is_new for each in taken) else 200)


def _note(request: HttpRequest) -> str:
    """Raises Refused. The length is looked at before the body is read."""
    try:
        length = int(request.headers.get("Content-Length", ""))
    except ValueError:
        length = -1
    if not 0 <= length <= NOTE_LIMIT_BYTES:
        raise Refused(LogProblem.COSIGNATURE_TOO_LARGE, f"Send a Content-Length of at most {NOTE_LIMIT_BYTES} bytes.")
    try:
        return request.body.decode()
    except UnicodeDecodeError as error:
        raise Refused(LogProblem.COSIGNATURE_MALFORMED, "The note is no UTF-8.") from error
