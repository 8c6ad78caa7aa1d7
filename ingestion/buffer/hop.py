"""MACs of what Redis carries from the receiver to the commit: a changed, moved or relabelled entry is found there.

`append.lua` decides the kind of an entry, and Redis has no key. So the receiver makes a MAC for each kind that the
script may choose, and only the chosen one reaches the stream. What the script alone knows is under none of them:
sequence, epoch, time of acceptance, and the receipt of the original inside `s`.
"""

from __future__ import annotations

from autocom.kernel.digest import framed, hmac_sha256, sha256

VERSION = b"hop2"
NO_PAYLOAD = bytes(32)  # in place of the digest for a duplicate, whose payload the lane may not carry
KINDS_OF_APPEND = (b"E", b"D", b"Q")  # in the order that append.lua cuts them out


def entry_mac(key: bytes, *, kind: bytes, lane: int, meta: bytes, payload_sha256: bytes) -> bytes:
    """32 bytes over kind, lane, meta and payload. Give NO_PAYLOAD for a duplicate."""
    return _of_kind(_stem(key, lane=lane, meta=meta), kind=kind, payload_sha256=payload_sha256)


def append_macs(key: bytes, *, lane: int, meta: bytes, payload_sha256: bytes) -> bytes:
    """The MACs of KINDS_OF_APPEND, one behind the other."""
    stem = _stem(key, lane=lane, meta=meta)
    return b"".join(
        _of_kind(stem, kind=kind, payload_sha256=NO_PAYLOAD if kind == b"D" else payload_sha256)
        for kind in KINDS_OF_APPEND
    )


def delivery_mac(key: bytes, blob: bytes) -> bytes:
    """Over a delivery's header and body; it names its request itself."""
    return hmac_sha256(key, framed((blob,)))


def old_entry_mac(key: bytes, *, meta: bytes, payload: bytes) -> bytes:
    """As entries had it before kind and lane were covered, for those that wait on lanes during an upgrade."""
    return hmac_sha256(key, framed((meta, payload)))


def _stem(key: bytes, *, lane: int, meta: bytes) -> bytes:
    return hmac_sha256(key, framed((VERSION, b"%d" % lane, meta)))


def _of_kind(stem: bytes, *, kind: bytes, payload_sha256: bytes) -> bytes:
    # the stem is a secret of this entry alone and the rest has a fixed length, so a plain digest is a MAC here; a HMAC
    # for each kind would make the whole append dearer by a tenth
    return sha256(stem + payload_sha256 + kind)
