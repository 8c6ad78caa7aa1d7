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


def inclusion_path(hashes: Sequence[bytes], *, position: int) -> list[bytes]:
    """What stands beside the leaf's way to the root, from below (the audit path of RFC 6962 section 2.1.1).

    Raises IndexError for a position that has no leaf.
    """
    if not 0 <= position < len(hashes):
        raise IndexError(f"position {position} is outside the tree's {len(hashes)} leaves")
    if len(hashes) == 1:
        return []
    split = 1 << (len(hashes) - 1).bit_length() - 1
    if position < split:
        return [*inclusion_path(hashes[:split], position=position), root_of_hashes(hashes[split:])]
    return [*inclusion_path(hashes[split:], position=position - split), root_of_hashes(hashes[:split])]


def root_of_path(leaf: bytes, path: Sequence[bytes], *, position: int, leaf_count: int) -> bytes:
    """The root that a leaf's hash and its inclusion path lead to. Raises ValueError for a path of another length."""
    if leaf_count <= 1:
        if path:
            raise ValueError("a tree of one leaf has an empty path")
        return leaf
    if not path:
        raise ValueError(f"the path is too short for a tree of {leaf_count} leaves")
    split = 1 << (leaf_count - 1).bit_length() - 1
    *below, beside = path
    if position < split:
        return node_hash(root_of_path(leaf, below, position=position, leaf_count=split), beside)
    return node_hash(beside, root_of_path(leaf, below, position=position - split, leaf_count=leaf_count - split))
