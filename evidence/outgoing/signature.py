"""Standard Webhooks: the receiver can tell that the message is ours, unchanged and recent."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import secrets

from evidence.outgoing.errors import SecretInvalid

PREFIX = "whsec_"
LEAST_BYTES, MOST_BYTES = 24, 64


def new_secret() -> str:
    return PREFIX + base64.b64encode(secrets.token_bytes(32)).decode()


def key_of(secret: str) -> bytes:
    """Raises SecretInvalid."""
    try:
        key = base64.b64decode(secret.removeprefix(PREFIX), validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if not secret.startswith(PREFIX) or not LEAST_BYTES <= len(key) <= MOST_BYTES:
        raise SecretInvalid(
            f"this is no signing secret: write {PREFIX} and {LEAST_BYTES} to {MOST_BYTES} bytes in base64"
        )
    return key


def signed_headers(body: bytes, *, message_id: str, at_seconds: int, secret: str) -> dict[str, str]:
    signed = f"{message_id}.{at_seconds}.".encode() + body
    mac = hmac.new(key_of(secret), signed, hashlib.sha256).digest()
    return {
        "webhook-id": message_id,
        "webhook-timestamp": str(at_seconds),
        "webhook-signature": f"v1,{base64.b64encode(mac).decode()}",
    }
