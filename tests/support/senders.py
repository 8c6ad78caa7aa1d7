"""Signed requests as the provider `default` would make them."""

from __future__ import annotations

import hashlib
import hmac
import json
import time
from collections.abc import Mapping
from typing import Any

from django.conf import settings


def event_body(
    message_id: str = "evt-1", *, event_type: str = "delivered", ordering_key: str = "key-1", **data: Any
) -> bytes:
    return json.dumps(
        {
            "id": message_id,
            "type": event_type,
            "ordering_key": ordering_key,
            "occurred_at": "2026-11-01T12:00:00Z",
            "data": data,
        }
    ).encode()


def signed_headers(
    body: bytes, *, at_seconds: int | None = None, secret: str | None = None, bearer: str | None = None
) -> dict[str, str]:
    """Bearer, timestamp and signature, and the content type; a Content-Length is the client's own business."""
    timestamp = str(int(time.time()) if at_seconds is None else at_seconds)
    key = settings.AUTOCOM.webhook_hmac_secret if secret is None else secret
    digest = hmac.new(key.encode(), timestamp.encode() + b"." + body, hashlib.sha256).hexdigest()
    return {
        "Authorization": f"Bearer {settings.AUTOCOM.webhook_bearer_key if bearer is None else bearer}",
        "X-Webhook-Timestamp": timestamp,
        "X-Webhook-Signature": f"sha256={digest}",
        "Content-Type": "application/json",
    }


def as_meta(headers: Mapping[str, str]) -> dict[str, str]:
    """The same headers as Django's test client wants them."""
    meta = {f"HTTP_{name.upper().replace('-', '_')}": value for name, value in headers.items()}
    meta["CONTENT_TYPE"] = meta.pop("HTTP_CONTENT_TYPE", "")
    return meta
