"""A MAC over what is kept of a delivery's headers: no leaf covers them, and PostgreSQL does not have the key.

Made at the commit. Whoever changes headers in the database cannot make another; `check_batch` finds it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from uuid import UUID

from django.conf import settings

from autocom.kernel.digest import derived_key, framed, hmac_sha256

PURPOSE = "autocom.delivery-headers.v1"


def headers_mac(request_id: UUID, headers: Mapping[str, str]) -> bytes:
    """By the newest key."""
    return _mac(_keys(settings.SECRET_KEY)[0], request_id, headers)


def has_made(mac: bytes, request_id: UUID, headers: object) -> bool:
    """Whether one of our keys made it of these headers: that of SECRET_KEY, or one of those before it."""
    if not isinstance(headers, dict):
        return False
    keys = _keys(settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS)
    return any(_mac(key, request_id, headers) == mac for key in keys)


@cache
def _keys(*secrets: str) -> tuple[bytes, ...]:
    return tuple(derived_key(secret, purpose=PURPOSE) for secret in secrets)


def _mac(key: bytes, request_id: UUID, headers: Mapping[str, str]) -> bytes:
    text = json.dumps(headers, sort_keys=True, separators=(",", ":"))  # PostgreSQL keeps no order of keys
    return hmac_sha256(key, framed((request_id.bytes, text.encode())))
