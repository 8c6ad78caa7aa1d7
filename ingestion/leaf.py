"""The line of text that stands for an event in its batch's Merkle tree. Everything in it can be read off the stored
row.

`acc1 kind provider message_id event_type ordering_key lane epoch sequence accepted_us body_sha256 content_sha256
event_id`, separated by tabs; `kind` is P (stored as
an event), D (dead letter), Q (quarantined: its identity was held by other content) or R (stored as an event by a retry,
at a place of its own: the leaf of its first place stays in its first batch). Tab, line end and percent are
percent-escaped.
"""

from uuid import UUID

VERSION = "acc1"
STORED = "P"
DEAD = "D"
REDRIVEN = "R"
QUARANTINED = "Q"

LEAF_FORMAT = 2  # of a batch: which rows have a leaf. 1 left out the quarantined ones


def leaf_line(
    *,
    kind: str,
    provider: str,
    message_id: str,
    event_type: str,
    ordering_key: str,
    lane: int,
    epoch: int,
    sequence: int,
    accepted_us: int,
    body_sha256: bytes,
    content_sha256: bytes,
    event_id: UUID,
) -> bytes:
    """UTF-8, without a line end."""
    return (
        f"{VERSION}\t{kind}\t{_escaped(provider)}\t{_escaped(message_id)}\t{_escaped(event_type)}\t{_escaped(ordering_key)}\t"
        f"{lane}\t{epoch}\t{sequence}\t{accepted_us}\t{body_sha256.hex()}\t{content_sha256.hex()}\t{event_id}"
    ).encode("utf-8", "surrogatepass")


def _escaped(text: str) -> str:
    if "%" in text or "\t" in text or "\n" in text:
        return text.replace("%", "%25").replace("\t", "%09").replace("\n", "%0A")
    return text
