"""What an endpoint's answer means. Pure: an answer in, a meaning or an error out."""

from __future__ import annotations

import base64
import json
import re
from dataclasses import dataclass
from enum import StrEnum
from http import HTTPStatus
from typing import Any, ClassVar
from urllib.parse import urljoin, urlsplit

from evidence.errors import EvidenceError
from evidence.publishing.exchange import Answer
from evidence.publishing.parcels import Parcel

STORED = frozenset({HTTPStatus.OK, HTTPStatus.CREATED, HTTPStatus.NO_CONTENT})
GO_ON = 308  # with Range: so much is here, send what comes after
LATER = frozenset({408, 425, 429})  # of the 4xx; every 5xx is too
LINK_LIMIT_CHARS = 2_000
WORDS_LIMIT_CHARS = 200
RETRY_AFTER_LIMIT_SECONDS = 3_600
_RANGE = re.compile(r"bytes=0-(\d{1,18})")


class EndpointRefuses(EvidenceError):
    """The endpoint will not take it, today or tomorrow; the message is its reason."""

    code = "endpoint_refuses"


class EndpointBusy(EvidenceError):
    """The endpoint says, or shows, that the same may succeed later; not before `after_seconds`."""

    code = "endpoint_busy"
    retryable: ClassVar[bool] = True

    def __init__(self, message: str, *, after_seconds: float = 0.0) -> None:
        super().__init__(message)
        self.after_seconds = after_seconds


class Verified(StrEnum):
    """How sure it is that the endpoint has these bytes."""

    DIGEST = "digest"  # it names their SHA-256 itself
    LENGTH = "length"  # it has as many
    NOT_ASKED = "not_asked"  # it says that it stored them, and answers no HEAD


def accepted(answer: Answer, parcel: Parcel) -> None:
    """The answer to a PUT says that it is stored. Raises EndpointRefuses and EndpointBusy for every other."""
    if answer.status not in STORED:
        raise not_stored(answer)
    if (digest := _digest(answer, parcel)) not in ("", parcel.sha256):
        raise EndpointRefuses(f"it says that it stored other bytes: SHA-256 {digest} instead of {parcel.sha256}")


def not_stored(answer: Answer) -> EndpointRefuses | EndpointBusy:
    """The error that an answer without success means."""
    if 300 <= answer.status < 400:
        return EndpointRefuses(_redirected(answer))
    told = f"it answers {answer.status}{_words(answer)}"
    if answer.status in LATER or answer.status >= 500:
        return EndpointBusy(told, after_seconds=_retry_after_seconds(answer))
    return EndpointRefuses(told)


def is_partial(answer: Answer) -> bool:
    """308 has two meanings: `Resume Incomplete` names no other place, `Permanent Redirect` does."""
    return answer.status == GO_ON and "location" not in answer.headers


def received_bytes(answer: Answer, parcel: Parcel) -> int:
    """How much of it the endpoint says it has. Raises EndpointRefuses where that cannot be."""
    text = answer.headers.get("range", "")
    found = _RANGE.fullmatch(text)
    if text and not found:
        raise EndpointRefuses("its Range header cannot be read: it should be bytes=0-<last byte that it has>")
    count = int(found[1]) + 1 if found else 0
    if count > parcel.size_bytes:
        raise EndpointRefuses(f"it says that it has {count:,} bytes of {parcel.size_bytes:,}")
    return count


def holds(answer: Answer, parcel: Parcel) -> Verified:
    """What a HEAD proves. Raises EndpointRefuses where it shows other bytes, EndpointBusy where there are none."""
    if answer.status == HTTPStatus.NOT_FOUND:
        raise EndpointBusy("it says that it stored the artifact, and has it not")
    if answer.status != HTTPStatus.OK:
        return Verified.NOT_ASKED
    digest, length = _digest(answer, parcel), answer.headers.get("content-length", "")
    if digest not in ("", parcel.sha256):
        raise EndpointRefuses(f"it holds other bytes: SHA-256 {digest} instead of {parcel.sha256}")
    if length not in ("", str(parcel.size_bytes)):
        raise EndpointRefuses(f"it holds {length} bytes instead of {parcel.size_bytes}")
    return Verified.DIGEST if digest else Verified.LENGTH if length else Verified.NOT_ASKED


def is_there(answer: Answer, parcel: Parcel) -> bool:
    """True only where the endpoint names the digest itself: what merely is as long may be anything."""
    return answer.status == HTTPStatus.OK and _digest(answer, parcel) == parcel.sha256


def link_of(answer: Answer, *, url: str) -> str:
    """Where the endpoint says that it is, else where it was sent to. Only kept, never followed."""
    given = answer.headers.get("location") or _json(answer).get("url")
    link = urljoin(url, given) if isinstance(given, str) else url
    is_fit = urlsplit(link).scheme in ("http", "https") and link.isprintable() and len(link) <= LINK_LIMIT_CHARS
    return link if is_fit else url


@dataclass(frozen=True, slots=True)
class Delivered:
    link: str
    verified: Verified


def _digest(answer: Answer, parcel: Parcel) -> str:
    """The SHA-256 that the answer names, in hexadecimal; empty where it names none.

    An entity tag may be anything, so it counts only where it is the digest that it should be.
    """
    if answer.headers.get("etag", "") == f'"{parcel.sha256}"':
        return parcel.sha256
    plain = answer.headers.get("x-checksum-sha256") or _json(answer).get("sha256")
    if isinstance(plain, str):
        return plain.strip().lower()
    found = re.search(r"sha-256=:([A-Za-z0-9+/]{43}=):", answer.headers.get("repr-digest", ""))
    return _hexadecimal(found[1]) if found else ""


def _hexadecimal(as_base64: str) -> str:
    return base64.b64decode(as_base64).hex()


def _redirected(answer: Answer) -> str:
    try:
        host = urlsplit(answer.headers.get("location", "")).netloc.rpartition("@")[2]
    except ValueError:
        host = ""
    place = _shown(host) or "another place"
    return (
        f"it redirects ({answer.status}) to {place}, which is not followed: if that is right, make it EVIDENCE_ENDPOINT"
    )


def _retry_after_seconds(answer: Answer) -> float:
    text = answer.headers.get("retry-after", "")
    return min(float(text), RETRY_AFTER_LIMIT_SECONDS) if text.isascii() and text.isdecimal() else 0.0


def _words(answer: Answer) -> str:
    """Of problem+json; anything else may be a page of any length."""
    told = _json(answer).get("detail") or _json(answer).get("title")
    return f": {_shown(told)}" if isinstance(told, str) else ""


def _shown(text: str) -> str:
    return "".join(c for c in text if c.isprintable())[:WORDS_LIMIT_CHARS]


def _json(answer: Answer) -> dict[str, Any]:
    if "json" not in answer.headers.get("content-type", ""):
        return {}
    try:
        found = json.loads(answer.body)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}
