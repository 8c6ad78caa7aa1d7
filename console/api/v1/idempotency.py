"""`Idempotency-Key`: the same request with the same key is done once, and answered alike each time.

1. The key is claimed by a row, whose unique constraint lets one of two racing requests through.
2. The act is done, in its own transaction.
3. Its answer is put into the row, and whoever comes again gets it. A refusal did nothing: it frees the key.

A process that dies between 2 and 3 leaves the key claimed: whether the act was done is not known, so it is not done
again. The next caller is told so (409) until the claim expires. What was done stands in the audit log.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import wraps
from typing import Any

from django.db import IntegrityError, transaction
from django.http import HttpResponse
from rest_framework.request import Request

from console.api.authentication import account_name
from console.api.v1.errors import KeyReused, KeyUnderWay, RequestInvalid
from console.models import IdempotentCall

HEADER = "Idempotency-Key"
KEPT_FOR = timedelta(hours=24)
_FORM = re.compile(r"[!-~]{1,200}")

type Handler = Callable[..., HttpResponse]


def once(handler: Handler) -> Handler:
    """Without the header the handler runs as it is."""

    @wraps(handler)
    def answered_once(view: Any, request: Request, *args: Any, **kwargs: Any) -> HttpResponse:
        key = request.headers.get(HEADER)
        if key is None:
            return handler(view, request, *args, **kwargs)
        if not _FORM.fullmatch(key):
            raise RequestInvalid(f"{HEADER} has 1 to 200 visible characters of ASCII, such as a UUID")
        claim = _claimed(account_name(request), key, _sha256(request), now=datetime.now(UTC))
        if claim.status is not None:
            return _again(claim)
        try:
            response = handler(view, request, *args, **kwargs)
        except Exception:
            claim.delete()
            raise
        _settle(claim, response)
        return response

    return answered_once


def _claimed(account: str, key: str, request_sha256: bytes, *, now: datetime) -> IdempotentCall:
    """Ours where `status` is None. Raises KeyReused and KeyUnderWay."""
    IdempotentCall.objects.filter(expires_at__lte=now).delete()
    try:
        with transaction.atomic():
            return IdempotentCall.objects.create(
                account=account, key=key, request_sha256=request_sha256, claimed_at=now, expires_at=now + KEPT_FOR
            )
    except IntegrityError:
        found = IdempotentCall.objects.filter(account=account, key=key).first()
    if found is None:  # it was given up meanwhile
        raise KeyUnderWay("the first request with this key has just been refused: send it again")
    if bytes(found.request_sha256) != request_sha256:
        raise KeyReused(f"this {HEADER} came at {found.claimed_at:%Y-%m-%d %H:%M:%S} UTC with another request")
    if found.status is None:
        raise KeyUnderWay(
            f"the request with this key of {found.claimed_at:%Y-%m-%d %H:%M:%S} UTC has not been answered; if that"
            " lasts, its process died: see in the audit log whether the act was done, and use another key"
        )
    return found


def _settle(claim: IdempotentCall, response: HttpResponse) -> None:
    if not 200 <= response.status_code < 300:
        claim.delete()
        return
    claim.status = response.status_code
    claim.body = response.content.decode()
    claim.location = response.get("Location", "")
    claim.save(update_fields=["status", "body", "location"])


def _again(claim: IdempotentCall) -> HttpResponse:
    response = HttpResponse(claim.body, status=claim.status, content_type="application/json")
    response["Idempotency-Replayed"] = "true"
    response["Cache-Control"] = "private, no-cache"
    if claim.location:
        response["Location"] = claim.location
    return response


def _sha256(request: Request) -> bytes:
    """Of method, address and body: a key stands for one request. The body as it was understood, not its bytes."""
    told = json.dumps([request.method, request.get_full_path(), request.data], sort_keys=True)
    return hashlib.sha256(told.encode("utf-8", "surrogatepass")).digest()
