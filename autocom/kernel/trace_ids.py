"""Ids of traces and spans. A delivery's request id is its trace id: 128 bits that ride with every event anyway.

A span's id follows from the delivery and the span's name, so that what is told twice is the same span.
"""

from __future__ import annotations

import re
from uuid import UUID

from autocom.kernel.digest import sha256

# W3C Trace Context, version 00 alone: what another version says is not known here. Lower case, as it asks for
_TRACEPARENT = re.compile(r"00-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-[0-9a-f]{2}")
_RANDOM_BITS = 50  # of a request id, above the 12 of the position


def trace_id(request_id: UUID) -> str:
    return request_id.hex


def span_id(request_id: UUID, name: str) -> str:
    """16 hex digits, never all zero."""
    return f"{int.from_bytes(sha256(request_id.bytes + name.encode())[:8]) or 1:016x}"


def is_traceparent(text: str) -> bool:
    """A cheap look at the length first: it is on the path of an ack."""
    return len(text) == 55 and _TRACEPARENT.fullmatch(text) is not None


def sender_span(text: str) -> tuple[str, str] | None:
    """The sender's trace and span, as it says itself; None for what is no traceparent."""
    found = _TRACEPARENT.fullmatch(text)
    return None if found is None else (found[1], found[2])


def is_sampled(request_id: UUID, *, share: float) -> bool:
    """The same answer in every process, as it follows from the id's random bits."""
    return (request_id.int >> 12) & ((1 << _RANDOM_BITS) - 1) < share * (1 << _RANDOM_BITS)
