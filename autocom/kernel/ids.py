"""Request and event ids: UUIDs that sort by time and lead from an event to its delivery without a lookup.

A request id is a version 7 UUID (RFC 9562 section 5.7) with microseconds where the RFC puts milliseconds plus
random bits, and its low 12 bits zero. The event at position i of the delivery has the id `request id + i`: one primary
key serves event lookup, lookup of a delivery's events (a range), newest-first pages and insertion at the index's
right edge.
"""

import os
from uuid import UUID

POSITION_BITS = 12
EVENTS_PER_DELIVERY_LIMIT = 1 << POSITION_BITS
_POSITION_MASK = EVENTS_PER_DELIVERY_LIMIT - 1
_VERSION_7 = 0x7 << 76
_VARIANT = 0b10 << 62
_RANDOM_MASK = (1 << 50) - 1


def new_request_id(*, now_us: int) -> UUID:
    """Unix milliseconds in the top 48 bits, microseconds within the millisecond in rand_a, 50 random bits in rand_b."""
    milliseconds, microseconds = divmod(now_us, 1_000)
    # rand_a as a 12-bit fraction of a millisecond: RFC 9562 section 6.2, method 3
    fraction = (microseconds << 12) // 1_000
    number = (milliseconds & 0xFFFF_FFFF_FFFF) << 80 | _VERSION_7 | fraction << 64 | _VARIANT
    random = int.from_bytes(os.urandom(7)) & _RANDOM_MASK
    return UUID(int=number | random << POSITION_BITS)


def event_id(request_id: UUID, *, position: int) -> UUID:
    """The id of the event at this position (0 to 4095) of the delivery. Raises ValueError outside that range."""
    if not 0 <= position < EVENTS_PER_DELIVERY_LIMIT:
        raise ValueError(f"position {position} is outside 0..{EVENTS_PER_DELIVERY_LIMIT - 1}")
    return UUID(int=request_id.int | position)


def request_id_of(any_id: UUID) -> UUID:
    """The request id of an event id; a request id gives itself."""
    return UUID(int=any_id.int & ~_POSITION_MASK)


def last_event_id_of(request_id: UUID) -> UUID:
    """The highest id that an event of this delivery can have: the end of the range to search."""
    return UUID(int=request_id.int | _POSITION_MASK)


def position_of(event_id: UUID) -> int:
    """Of the event in its delivery."""
    return event_id.int & _POSITION_MASK
