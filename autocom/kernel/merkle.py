"""Merkle tree hash of RFC 6962 section 2.1: SHA-256, leaves prefixed 0x00, nodes 0x01, left subtree a power of two."""

from collections.abc import Iterable, Iterator, Sequence

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


def inclusion_paths(hashes: Sequence[bytes], *, positions: Iterable[int]) -> Iterator[list[bytes]]:
    """`inclusion_path` of each position, the tree hashed once. Raises IndexError for a position that has no leaf."""
    levels = [list(hashes)]
    while len(levels[-1]) > 1:
        level = levels[-1]
        paired = [node_hash(level[i], level[i + 1]) for i in range(0, len(level) - 1, 2)]
        levels.append(paired + level[len(paired) * 2 :])  # an odd last node goes up unchanged
    for position in positions:
        if not 0 <= position < len(hashes):
            raise IndexError(f"position {position} is outside the tree's {len(hashes)} leaves")
        beside = ((level, (position >> height) ^ 1) for height, level in enumerate(levels[:-1]))
        yield [level[at] for level, at in beside if at < len(level)]


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


def consistency_path(hashes: Sequence[bytes], *, old_size: int) -> list[bytes]:
    """What proves that the tree over these leaves grew out of its first `old_size` (RFC 6962 section 2.1.2).

    Raises IndexError for an old size that the tree never had.
    """
    if not 0 < old_size <= len(hashes):
        raise IndexError(f"there was no tree of {old_size} leaves before one of {len(hashes)}")
    return _subproof(hashes, old_size, is_whole=True)


def _subproof(hashes: Sequence[bytes], old_size: int, *, is_whole: bool) -> list[bytes]:
    if old_size == len(hashes):
        return [] if is_whole else [root_of_hashes(hashes)]
    split = 1 << (len(hashes) - 1).bit_length() - 1
    if old_size <= split:
        return [*_subproof(hashes[:split], old_size, is_whole=is_whole), root_of_hashes(hashes[split:])]
    return [*_subproof(hashes[split:], old_size - split, is_whole=False), root_of_hashes(hashes[:split])]


def is_consistent(*, old_size: int, old_root: bytes, size: int, root: bytes, path: Sequence[bytes]) -> bool:
    """Whether the path proves it (RFC 9162 section 2.1.4.2). An empty tree is the start of every tree."""
    if old_size == 0:
        return not path and old_root == EMPTY_ROOT
    if old_size == size:
        return not path and old_root == root
    if old_size > size or not path:
        return False
    hashes = [old_root, *path] if old_size & (old_size - 1) == 0 else list(path)
    inner, last = old_size - 1, size - 1
    while inner & 1:
        inner, last = inner >> 1, last >> 1
    old = new = hashes[0]
    for beside in hashes[1:]:
        if last == 0:
            return False
        if inner & 1 or inner == last:
            old, new = node_hash(beside, old), node_hash(beside, new)
            while inner and not inner & 1:
                inner, last = inner >> 1, last >> 1
        else:
            new = node_hash(new, beside)
        inner, last = inner >> 1, last >> 1
    return last == 0 and old == old_root and new == root


class Frontier:
    """A tree that only grows, as the roots of its full subtrees: log2(size) hashes instead of all leaves."""

    def __init__(self, size: int = 0, roots: Sequence[bytes] = ()) -> None:
        """Raises ValueError for roots that no tree of this size has."""
        if len(roots) != size.bit_count():
            raise ValueError(f"a tree of {size} leaves has {size.bit_count()} full subtrees, not {len(roots)}")
        self.size = size
        self.roots = list(roots)  # the largest first

    def append(self, leaf: bytes) -> None:
        """`leaf` is a leaf's hash."""
        node, size = leaf, self.size
        while size & 1:
            node, size = node_hash(self.roots.pop(), node), size >> 1
        self.roots.append(node)
        self.size += 1

    @property
    def root(self) -> bytes:
        if not self.roots:
            return EMPTY_ROOT
        node = self.roots[-1]
        for left in reversed(self.roots[:-1]):
            node = node_hash(left, node)
        return node
