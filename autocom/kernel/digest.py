"""Digests and MACs, named once. All are SHA-256."""

import hashlib
import hmac
from collections.abc import Iterable


def sha256(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()


def hmac_sha256(key: bytes, message: bytes) -> bytes:
    return hmac.digest(key, message, "sha256")


def derived_key(secret: str, *, purpose: str) -> bytes:
    """A key for one purpose only, so that a MAC of one kind can never pass for another.

    HMAC as a PRF over the purpose: the expand step of HKDF (RFC 5869 section 2.3) with one block.
    """
    return hmac_sha256(secret.encode(), purpose.encode() + b"\x01")


def key_id(key: bytes) -> str:
    """Eight hex digits that name a key without telling anything of it."""
    return sha256(b"key-id\x00" + key).hex()[:8]


def framed(parts: Iterable[bytes]) -> bytes:
    """Length-prefixed concatenation: no two different lists of parts give the same bytes."""
    return b"".join(len(part).to_bytes(4, "big") + part for part in parts)
