"""Signatures as text: only the canonical spelling is read, so that one signature cannot be sent in many forms."""

import base64
import binascii
import re

from ingestion.providers.adapter import Reason, Refused

_SHA256_HEX = re.compile(r"\A[0-9a-f]{64}\Z")


def canonical_base64(text: str) -> bytes:
    """The bytes of canonical base64. Raises Refused(MALFORMED) for stray characters, missing padding, unused bits."""
    try:
        raw = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise Refused(Reason.MALFORMED, "signature is not base64") from None
    if base64.b64encode(raw).decode() != text:
        raise Refused(Reason.MALFORMED, "signature is not canonical base64")
    return raw


def sha256_hex(text: str) -> bytes:
    """The bytes of 64 lower-case hex digits. Raises Refused(MALFORMED) for any other text."""
    if not _SHA256_HEX.match(text):
        raise Refused(Reason.MALFORMED, "signature is not 64 lower-case hex digits")
    return bytes.fromhex(text)
