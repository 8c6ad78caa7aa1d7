"""How an answer of the public log leaves: its type, and for how long it may be kept."""

from __future__ import annotations

from django.http import HttpResponse

MOMENT = "max-age=2"
MINUTE = "public, max-age=60"
FOREVER = "public, max-age=31536000, immutable"
TEXT = "text/plain; charset=utf-8"
BYTES = "application/octet-stream"


def answer(body: str | bytes, *, kept: str, content_type: str = TEXT) -> HttpResponse:
    response = HttpResponse(body, content_type=content_type)
    response["Cache-Control"] = kept
    response["X-Content-Type-Options"] = "nosniff"
    response["Access-Control-Allow-Origin"] = (
        "*"  # public, and asked without a cookie: a verifier in a browser may read it
    )
    return response


def kept_for(token: str) -> str:
    """What has its log's life in its address never changes; else the next life has other bytes at the same address."""
    return FOREVER if token else MINUTE
