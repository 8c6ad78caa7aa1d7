"""What a sample shows of a delivery that nobody vouches for: names, lengths, and masked beginnings."""

from __future__ import annotations

import re
from collections.abc import Mapping

from ingestion.provider_book import KnownProvider
from ingestion.providers.adapter import InboundDelivery

NAMES_LIMIT_COUNT = 40
NAME_LIMIT_CHARS = 40
BODY_START_BYTES = 24
SIGNATURE_START_CHARS = 6
DETAIL_LIMIT_CHARS = 200
SECRET_LEAST_CHARS = 8
THE_SECRET_ITSELF = "the secret itself"  # noqa: S105  (says so, and is none)

_NAME = re.compile(r"\A[a-z0-9_-]+\Z")
_CONTENT_TYPE = re.compile(r"\A[a-z0-9.+/-]{1,60}\Z")
_NOT_PLAIN = re.compile(r"[^A-Za-z0-9+/=_,.:-]")
_STRUCTURE = frozenset(b"{}[]<>()\"':,;=&%+-_./ ")
_ESCAPES = {0x0A: "\\n", 0x0D: "\\r", 0x09: "\\t"}


def header_names(headers: Mapping[str, str]) -> list[str]:
    """Sorted, cut and counted; a name that no honest sender uses is left out."""
    names = sorted(name[:NAME_LIMIT_CHARS] for name in headers if _NAME.match(name))
    return names[:NAMES_LIMIT_COUNT]


def content_type(delivery: InboundDelivery) -> str:
    found = delivery.content_type
    return found if not found or _CONTENT_TYPE.match(found) else "malformed"


def body_start(body: bytes) -> str:
    """The shape of the first bytes: letters as a or A, digits as 0, structure as it is, all else as a question mark."""
    return "".join(_masked(byte) for byte in body[:BODY_START_BYTES])


def _masked(byte: int) -> str:
    if byte in _ESCAPES:
        return _ESCAPES[byte]
    if byte in _STRUCTURE:
        return chr(byte)
    character = chr(byte)
    if not character.isascii() or not character.isalnum():
        return "?"
    return "0" if character.isdigit() else ("A" if character.isupper() else "a")


def signature_starts(provider: KnownProvider, delivery: InboundDelivery) -> dict[str, str]:
    """The first characters and the length of each header that the scheme signs with. Never of a credential's."""
    found = {}
    for name in provider.kept_headers:
        value = delivery.headers.get(name)
        if value is not None and name != "content-type":
            found[name[:NAME_LIMIT_CHARS]] = _start(value, provider=provider)
    return found


def _start(value: str, *, provider: KnownProvider) -> str:
    if holds_secret(value, provider=provider):
        return THE_SECRET_ITSELF
    start = _NOT_PLAIN.sub("?", value[:SIGNATURE_START_CHARS])
    return f"{start}… {len(value)} characters" if len(value) > SIGNATURE_START_CHARS else start


def holds_secret(value: str, *, provider: KnownProvider) -> bool:
    """Of secrets long enough not to be found by chance."""
    secrets = (timed.secret.value.strip() for timed in provider.secrets)
    return any(secret in value for secret in secrets if len(secret) >= SECRET_LEAST_CHARS)


def detail(text: str) -> str:
    """An adapter's own words, which may quote the request: printable and cut."""
    return "".join(each if " " <= each <= "~" else "?" for each in text[:DETAIL_LIMIT_CHARS])
