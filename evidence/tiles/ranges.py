"""Which ranges of leaves a proof is made of, and which full subtrees a range is made of. Pure arithmetic."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

TILE_HEIGHT = 8  # of C2SP's tiles: 256 hashes
TILE_WIDTH = 1 << TILE_HEIGHT


@dataclass(frozen=True, slots=True)
class Range:
    """The leaves `first` to `end` - 1 of a tree, which is a subtree of it: all of it, or its right edge."""

    first: int
    end: int


@dataclass(frozen=True, slots=True)
class Subtree:
    """A full one: 2**height leaves, the `number`th of that height."""

    height: int
    number: int


def consistency_ranges(*, old_size: int, size: int) -> list[Range]:
    """Whose roots prove that the tree of `size` grew out of its first `old_size` (RFC 6962 section 2.1.2), from below.

    Raises IndexError for an old size that the tree never had.
    """
    if not 0 < old_size <= size:
        raise IndexError(f"there was no tree of {old_size} leaves before one of {size}")
    found: list[Range] = []
    first, end, is_whole = 0, size, True
    while first + old_size != end:
        split = first + _left_count(end - first)
        if first + old_size <= split:
            found.append(Range(split, end))
            end = split
        else:
            found.append(Range(first, split))
            old_size -= split - first
            first, is_whole = split, False
    return [*([] if is_whole else [Range(first, end)]), *reversed(found)]


def full_subtrees(of: Range) -> Iterator[Subtree]:
    """The largest first, which is from left to right."""
    first = of.first
    while first < of.end:
        height = (of.end - first).bit_length() - 1
        yield Subtree(height, first >> height)
        first += 1 << height


def _left_count(leaf_count: int) -> int:
    """The largest power of two below the count."""
    return 1 << (leaf_count - 1).bit_length() - 1
