"""`Content-Range` of an upload in several requests."""

from __future__ import annotations

import re

from console.api.problems import RequestInvalid
from evidence.store.partial import Part

_RANGE = re.compile(r"bytes ([0-9]{1,15})-([0-9]{1,15})/([0-9]{1,15})")
_QUESTION = re.compile(r"bytes \*/([0-9]{1,15})")


def total_asked(text: str) -> int | None:
    """Of `bytes */total`, which asks how much is there."""
    found = _QUESTION.fullmatch(text.strip())
    return int(found[1]) if found else None


def part_of(text: str, *, sha256: str, length_bytes: int) -> Part:
    """Raises RequestInvalid."""
    found = _RANGE.fullmatch(text.strip())
    first, last, total = map(int, found.groups()) if found else (0, -1, 0)
    if not first <= last < total or last - first + 1 != length_bytes:
        raise RequestInvalid(
            f"Content-Range {text[:80]!r} does not fit a body of {length_bytes} bytes: write bytes FIRST-LAST/TOTAL,"
            " such as bytes 0-1048575/3000000, or bytes */TOTAL to ask how much is here"
        )
    return Part(sha256=sha256, first=first, length_bytes=length_bytes, total_bytes=total)
