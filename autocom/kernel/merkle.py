"""Merkle tree hash of RFC 6962 section 2.1: SHA-256, leaves prefixed 0x00, nodes 0x01, left subtree a power of two."""

from collections.abc import Sequence

from autocom.kernel.digest import sha256

EMPTY_ROOT = sha256(b"")


def leaf_hash(leaf: bytes) -> bytes:
    return sha256(b"\x00" + leaf)


def node_hash(left: bytes, right: bytes) -> bytes:
    return sha256(b"\x01" + left + right)


def root_of_hashes(hashes: Sequence[bytes]) -> bytes:
    """The tree's root from its leaf hashes.

    Pairing neighbours level by level and carrying an odd last node up unchanged gives the RFC's tree, as its left
    subtree is the largest power
    of two below the size.
    """
    if not hashes:
        return EMPTY_ROOT
    level = list(hashes)
    while len(level) > 1:
        paired = [node_hash(level[i], level[i + 1]) for i in range(0, len(level) - 1, 2)]
        if len(level) % 2:
            paired.append(level[-1])
        level = paired
    return level[0]
